"""From the logits of a video's segments to the video's."""

from typing import Any

import keras
from keras import ops

MODES = ("max", "top_k")


@keras.saving.register_keras_serializable(package="stfn_keras")
class SegmentConsensus(keras.layers.Layer):
    """The highest logit of each class, or the mean of its highest (T: TSN, 2018).

    TSN's other two, the mean and the attention-weighted mean, are linear: pooling the
    features before a linear classifier gives the same, from fewer numbers.

    Args:
        mode: `max` or `top_k`.
        k: How many of each class's segments count with `top_k`; all, where there are
            fewer.

    Input shape:
        `(batch, segments, classes)`.

    Output shape:
        `(batch, classes)`.

    Example:
    >>> logits = keras.ops.convert_to_tensor([[[1.0], [5.0], [3.0]]])
    >>> SegmentConsensus("top_k", 2)(logits).numpy()
    array([[4.]], dtype=float32)
    """

    def __init__(self, mode: str = "max", k: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(
                f"`mode` must be one of {', '.join(MODES)}. Received: {mode!r}"
            )
        if k < 1:
            raise ValueError(f"`k` must be 1 or more. Received: {k}")
        self.mode = mode
        self.k = k

    def call(self, inputs: Any) -> Any:
        """Return the video's logits."""
        if self.mode == "max":
            return ops.max(inputs, axis=1)
        by_class = ops.transpose(inputs, (0, 2, 1))  # (batch, classes, segments)
        highest, _ = ops.top_k(by_class, min(self.k, by_class.shape[-1]))
        return ops.mean(highest, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape without its segments."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "mode": self.mode, "k": self.k}
