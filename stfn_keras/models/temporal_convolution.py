"""Convolve each position of the maps over consecutive segments."""

from typing import Any

import keras
import numpy as np
from keras import ops

from stfn_keras.models.fold_time import by_segment, check_segments

TAPS = 3
STARTS = ("inflated", "identity")


@keras.saving.register_keras_serializable(package="stfn_keras")
class TemporalConvolution(keras.layers.Layer):
    """A 3 x 1 x 1 convolution: three segments, one position, all channels.

    Before the first and behind the last segment stands a copy of it (C), so that a
    video in which nothing moves gives what a 1 x 1 convolution with the sum of the
    three kernels gives, in every segment, and a single segment is convolved too.
    Zeros there would make the first and the last segment weaker.

    Args:
        filters: Output channels.
        segments: How many consecutive images of the batch make a video.
        start: `inflated`, the same 1 x 1 kernel divided by 3 at each of the three
            segments; or `identity`, which passes each segment on as it is and needs
            as many filters as there are input channels.

    Input shape:
        `(batch * segments, height, width, channels)`, as `FoldTime` lays them.

    Output shape:
        `(batch * segments, height, width, filters)`.

    Example:
    >>> maps = keras.ops.ones((14, 8, 8, 16))
    >>> TemporalConvolution(32, segments=7)(maps).shape
    (14, 8, 8, 32)
    """

    def __init__(
        self, filters: int, segments: int, start: str = "inflated", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if start not in STARTS:
            raise ValueError(
                f"`start` must be one of {', '.join(STARTS)}. Received: {start!r}"
            )
        self.filters = filters
        self.segments = check_segments(segments)
        self.start = start

    def build(self, input_shape: Any) -> None:
        """Create kernel (3, 1, channels, filters) and bias."""
        channels = input_shape[-1]
        if self.start == "identity" and channels != self.filters:
            raise ValueError(
                "A convolution that starts as the identity has as many filters as "
                f"input channels. Received: {self.filters} and {channels}"
            )
        self.kernel = self.add_weight(
            shape=(TAPS, 1, channels, self.filters),
            initializer=_inflated if self.start == "inflated" else _identity,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )

    def call(self, inputs: Any) -> Any:
        """Return the convolved maps."""
        x = ops.reshape(inputs, by_segment(inputs.shape, self.segments))
        x = ops.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
        # (batch, segments + 2, positions, channels): time takes the height's place.
        x = ops.conv(x, self.kernel, padding="valid") + self.bias
        return ops.reshape(x, (-1, *inputs.shape[1:3], self.filters))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape with the filters as channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "segments": self.segments,
            "start": self.start,
        }


def inflate(kernel: np.ndarray) -> np.ndarray:
    """Spread a 1 x 1 kernel, (1, 1, channels, filters), over three segments."""
    return np.repeat(kernel / TAPS, TAPS, axis=0)


def _inflated(shape: tuple, dtype: Any = None) -> Any:
    """Draw a 1 x 1 kernel as Keras draws the towers', and inflate it."""
    kernel = keras.initializers.GlorotUniform()((1, *shape[1:]), dtype)
    return ops.repeat(kernel / TAPS, TAPS, axis=0)


def _identity(shape: tuple, dtype: Any = None) -> Any:
    kernel = np.zeros(shape)
    kernel[TAPS // 2, 0] = np.eye(shape[-1])
    return ops.convert_to_tensor(kernel, dtype)
