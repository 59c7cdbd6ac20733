"""The mean of what a sliding average gives, as one weighted mean."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class WindowMean(keras.layers.Layer):
    """Average pooling at stride 1 without padding, and the mean over its places.

    Every place counts as often as windows cover it: where the window is as large as
    the map, or larger, all alike; of a window of 2 along an axis of 8, the first and
    the last half as much as the others.

    Args:
        window: Sides of the window, of all axes but batch and channels.

    Input shape:
        `(batch, ..., channels)`, all but the batch known.

    Output shape:
        `(batch, channels)`.

    Example:
    >>> WindowMean((2,))(np.float32([[[0], [3], [6], [0]]]))  # of 1.5, 4.5 and 3
    array([[3.]], dtype=float32)
    """

    def __init__(self, window: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = tuple(window)

    def call(self, inputs: Any) -> Any:
        """Return the weighted mean."""
        sides, channels = inputs.shape[1:-1], inputs.shape[-1]
        weights = np.ones(())
        for side, window in zip(sides, self.window, strict=True):
            weights = np.multiply.outer(weights, _shares(side, min(side, window)))
        x = ops.reshape(inputs, (-1, weights.size, channels))  # (batch, places, ...)
        weights = ops.convert_to_tensor(weights.reshape(-1, 1), x.dtype)
        return ops.sum(x * weights, axis=1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Keep batch and channels."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "window": self.window}


def _shares(side: int, window: int) -> np.ndarray:
    """The weight of each place along an axis; their sum is 1."""
    windows = side - window + 1
    covered = np.convolve(np.ones(windows), np.ones(window))  # (side,)
    return covered / (windows * window)
