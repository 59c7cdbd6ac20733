"""Fuse the streams' logits."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from stfn_keras.config import COMBINATIONS


@keras.saving.register_keras_serializable(package="stfn_keras")
class LogitsFusion(keras.layers.Layer):
    """The weighted mean of several streams' logits, or of their probabilities.

    `logits` gives `sum_i w_i x_i / sum_i w_i`. Logits rather than probabilities by
    default (C): on published per-video HMDB51 scores averaging logits gives 66.5 %,
    averaging their softmax 64.9 %.

    `softmax` gives the logarithm of the weighted mean of `softmax(x_i)`, computed
    without leaving logarithms: the softmax of the output is that mean, so that
    whatever takes logits takes it too.

    Args:
        weights: Of the streams, 0 or more and not all 0; TSN uses 1 for RGB and 1.5
            for flow.
        combination: `logits` or `softmax`.

    Input shape:
        A list of one tensor `(batch, classes)` for each weight.

    Output shape:
        `(batch, classes)`.

    Example:
    >>> rgb, flow = keras.ops.zeros((1, 2)), keras.ops.ones((1, 2))
    >>> LogitsFusion((1.0, 3.0))([rgb, flow]).numpy()
    array([[0.75, 0.75]], dtype=float32)
    """

    def __init__(
        self, weights: Sequence[float], combination: str = "logits", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if combination not in COMBINATIONS:
            raise ValueError(
                f"`combination` must be one of {', '.join(COMBINATIONS)}. "
                f"Received: {combination!r}"
            )
        if min(weights, default=0.0) < 0.0 or not any(weights):
            raise ValueError(
                f"`weights` must be 0 or more and not all 0. Received: {weights}"
            )
        self.shares = [float(weight) for weight in weights]
        self.combination = combination

    def call(self, inputs: Any) -> Any:
        """Return the weighted mean of the streams."""
        total = sum(self.shares)
        pairs = list(zip(self.shares, inputs, strict=True))
        if self.combination == "logits":
            return sum(share * x for share, x in pairs) / total
        # Of a weight of 0 the logarithm would be -inf.
        parts = [
            ops.log_softmax(x) + math.log(share / total) for share, x in pairs if share
        ]
        fused = parts[0]
        for part in parts[1:]:
            fused = ops.logaddexp(fused, part)
        return fused

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the shape of one stream's logits."""
        return tuple(input_shape[0])

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "weights": self.shares,
            "combination": self.combination,
        }

    @classmethod
    def from_config(cls, config: dict) -> "LogitsFusion":
        """Rebuild the layer, also as it was saved when there were two streams."""
        if "flow_weight" in config:
            config = {**config, "weights": (1.0, config["flow_weight"])}
            del config["flow_weight"]
        return cls(**config)
