"""Fuse the two streams' logits."""

import math
from typing import Any

import keras
from keras import ops

from stfn_keras.config import COMBINATIONS


@keras.saving.register_keras_serializable(package="stfn_keras")
class LogitsFusion(keras.layers.Layer):
    """The weighted mean of both streams' logits, or of their probabilities.

    `logits` gives `(rgb + w flow) / (1 + w)`. Logits rather than probabilities by
    default (C): on published per-video HMDB51 scores averaging logits gives 66.5 %,
    averaging their softmax 64.9 %.

    `softmax` gives the logarithm of `(softmax(rgb) + w softmax(flow)) / (1 + w)`,
    computed without leaving logarithms: the softmax of the output is that mean, so
    that whatever takes logits takes it too.

    Args:
        flow_weight: The weight w of motion where appearance weighs 1; TSN uses 1.5.
        combination: `logits` or `softmax`.

    Input shape:
        A list of two tensors `(batch, classes)`: appearance and motion.

    Output shape:
        `(batch, classes)`.

    Example:
    >>> rgb, flow = keras.ops.zeros((1, 2)), keras.ops.ones((1, 2))
    >>> LogitsFusion(3.0)([rgb, flow]).numpy()
    array([[0.75, 0.75]], dtype=float32)
    """

    def __init__(
        self, flow_weight: float = 1.0, combination: str = "logits", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if combination not in COMBINATIONS:
            raise ValueError(
                f"`combination` must be one of {', '.join(COMBINATIONS)}. "
                f"Received: {combination!r}"
            )
        self.flow_weight = flow_weight
        self.combination = combination

    def call(self, inputs: Any) -> Any:
        """Return the weighted mean of both streams."""
        rgb, flow = inputs
        if self.combination == "logits":
            return (rgb + self.flow_weight * flow) / (1.0 + self.flow_weight)
        rgb, flow = ops.log_softmax(rgb), ops.log_softmax(flow)
        if not self.flow_weight:  # its logarithm below would be -inf
            return rgb
        total = 1.0 + self.flow_weight
        return ops.logaddexp(
            rgb - math.log(total), flow + math.log(self.flow_weight / total)
        )

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the shape of one stream's logits."""
        return tuple(input_shape[0])

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "flow_weight": self.flow_weight,
            "combination": self.combination,
        }
