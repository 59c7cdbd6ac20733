"""Maximum pooling of clips, first over space and then over time."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class ClipMaxPooling(keras.layers.Layer):
    """`keras.layers.MaxPooling3D` as two poolings of images.

    A maximum over a box is the maximum over its length of those over its sides. The
    values are the same, and every backend and portable runtime has these two, in half
    precision too.

    Args:
        pool_size: Length of the window in time, and its height and width.
        strides: Likewise.
        padding: `same` or `valid`.

    Input shape:
        `(batch, steps, height, width, channels)`, all but the batch known.

    Output shape:
        The same, steps, height and width as Keras' layer gives them.

    Example:
    >>> ClipMaxPooling((2, 2, 2), (2, 2, 2))(keras.ops.zeros((1, 8, 7, 7, 3))).shape
    (1, 4, 4, 4, 3)
    """

    def __init__(
        self,
        pool_size: tuple[int, int, int],
        strides: tuple[int, int, int],
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides)
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        """Return the maxima."""
        _, steps, height, width, channels = inputs.shape
        x = ops.reshape(inputs, (-1, height, width, channels))
        x = ops.max_pool(x, self.pool_size[1:], self.strides[1:], self.padding)
        _, height, width, _ = x.shape
        if self.pool_size[0] > 1 or self.strides[0] > 1:
            # (batch, steps, places, channels)
            x = ops.reshape(x, (-1, steps, height * width, channels))
            window, stride = self.pool_size[0], self.strides[0]
            x = ops.max_pool(x, (window, 1), (stride, 1), self.padding)
            steps = x.shape[1]
        return ops.reshape(x, (-1, steps, height, width, channels))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Divide what windows start at by the strides, rounded up."""
        batch, *sides, channels = input_shape
        if self.padding == "valid":
            sides = [a - b + 1 for a, b in zip(sides, self.pool_size, strict=True)]
        pairs = zip(sides, self.strides, strict=True)
        return (batch, *(-(-side // stride) for side, stride in pairs), channels)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }
