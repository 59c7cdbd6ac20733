"""Tell the segments apart by their place in the video."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="stfn_keras")
class SegmentPosition(keras.layers.Layer):
    """Add a learned vector to each segment's features, zero at first (C).

    The vectors belong to a number of segments: weights do not fit a network with
    another number.

    Input shape:
        `(batch, segments, channels)`, the segments known.

    Output shape:
        The same.

    Example:
    >>> SegmentPosition()(keras.ops.ones((2, 7, 64))).shape
    (2, 7, 64)
    """

    def build(self, input_shape: Any) -> None:
        """Create one vector for each segment."""
        if input_shape[1] is None:
            raise ValueError(
                "The number of segments must be known to give each a vector. "
                f"Received: {tuple(input_shape)}"
            )
        self.position = self.add_weight(
            shape=tuple(input_shape[1:]), initializer="zeros", name="position"
        )

    def call(self, inputs: Any) -> Any:
        """Return the features with their segment's vector added."""
        return inputs + self.position

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)
