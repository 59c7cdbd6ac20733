"""How maps change in space: fixed derivatives along x and y."""

from typing import Any

import keras
import numpy as np
from keras import ops

# The derivative along x, to the right; transposed it is the one along y, downwards.
KERNEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")


@keras.saving.register_keras_serializable(package="stfn_keras")
class Sobel(keras.layers.Layer):
    """The 3 x 3 Sobel operator on each channel, without weights to learn.

    The spatial part of the optical flow guided feature (T: OFF, section 3). The
    operator is not scaled: a slope of 1 per pixel gives 8. Beyond the border the maps
    are 0, as in a convolution, so that their edges answer too.

    Input shape:
        `(batch, height, width, channels)`, the channels known.

    Output shape:
        `(batch, height, width, 2 * channels)`: x and y of the first channel, of the
        second, ...

    Example:
    >>> Sobel()(keras.ops.ones((1, 28, 28, 32))).shape
    (1, 28, 28, 64)
    """

    def call(self, inputs: Any) -> Any:
        """Return both derivatives of each channel."""
        both = np.stack([KERNEL, KERNEL.T], axis=-1)[:, :, None]  # (3, 3, 1, 2)
        kernel = np.repeat(both, inputs.shape[-1], axis=2)
        kernel = ops.convert_to_tensor(kernel, self.compute_dtype)
        return ops.depthwise_conv(inputs, kernel, padding="same")

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape with twice the channels."""
        return (*input_shape[:-1], 2 * input_shape[-1])
