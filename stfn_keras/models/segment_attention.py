"""Weigh a video's segments by what they show."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class SegmentAttention(keras.layers.Layer):
    """`sum_t a_t x_t` with `a = softmax_t(w . x_t)` and a learned w (C).

    w is zero at first, so that the layer starts as the mean over segments. A
    constant added to all scores changes nothing, so there is no bias.

    Input shape:
        `(batch, segments, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:
    >>> SegmentAttention()(keras.ops.ones((2, 7, 64))).shape
    (2, 64)
    """

    def build(self, input_shape: Any) -> None:
        """Create the vector that scores segments."""
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 1), initializer="zeros", name="kernel"
        )

    def call(self, inputs: Any) -> Any:
        """Return the weighted mean of the segments."""
        scores = ops.matmul(inputs, self.kernel)  # (batch, segments, 1)
        return ops.sum(ops.softmax(scores, axis=1) * inputs, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape without its segments."""
        return (input_shape[0], input_shape[-1])
