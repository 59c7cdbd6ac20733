"""What changes from each segment to the next."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="stfn_keras")
class FeatureDifference(keras.layers.Layer):
    """`x_(t+1) - x_t` for each pair of consecutive segments (T: OFF, section 3).

    The temporal part of the optical flow guided feature. A video of one segment
    makes one pair of it and itself, whose difference is 0 (C).

    Input shape:
        `(batch, segments, ...)`, the segments known.

    Output shape:
        `(batch, pairs, ...)` with `segments - 1` pairs, at least one.

    Example:
    >>> maps = keras.ops.convert_to_tensor([[[1.0], [4.0], [9.0]]])
    >>> FeatureDifference()(maps).numpy()
    array([[[3.],
            [5.]]], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the differences."""
        if inputs.shape[1] == 1:
            return inputs - inputs  # 0, and a gradient of 0 for what gave them
        return inputs[:, 1:] - inputs[:, :-1]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape with pairs for segments."""
        batch, segments, *rest = input_shape
        if segments is None:
            raise ValueError(
                f"The number of segments must be known. Received: {tuple(input_shape)}"
            )
        return (batch, max(segments - 1, 1), *rest)
