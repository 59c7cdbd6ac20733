"""The greatest response within windows of consecutive segments."""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.fold_time import by_segment, check_segments


@keras.saving.register_keras_serializable(package="stfn_keras")
class TemporalMaxPooling(keras.layers.Layer):
    """Pool each position of the maps over windows of segments, unfolding time.

    Windows lie within the video: T segments give `(T - size) // stride + 1` windows.
    A video of fewer segments than a window is one window of all its segments (C).

    Args:
        segments: How many consecutive images of the batch make a video.
        size: Segments in a window.
        stride: Segments from one window to the next.

    Input shape:
        `(batch * segments, height, width, channels)`, as `FoldTime` lays them.

    Output shape:
        `(batch, windows, height * width, channels)`.

    Example:
    >>> TemporalMaxPooling(segments=7)(keras.ops.ones((14, 8, 8, 16))).shape
    (2, 2, 64, 16)
    """

    def __init__(
        self, segments: int, size: int = 5, stride: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.segments = check_segments(segments)
        self.size = size
        self.stride = stride

    @property
    def windows(self) -> int:
        """How many windows a video has."""
        return max(self.segments - self.size, 0) // self.stride + 1

    def call(self, inputs: Any) -> Any:
        """Return the greatest response in each window."""
        x = ops.reshape(inputs, by_segment(inputs.shape, self.segments))
        window = (min(self.size, self.segments), 1)
        # (batch, segments, positions, channels): time takes the height's place.
        return ops.max_pool(x, window, (self.stride, 1), padding="valid")

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the windows and the positions apart."""
        batch = input_shape[0]
        _, _, positions, channels = by_segment(input_shape, self.segments)
        batch = None if batch is None else batch // self.segments
        return (batch, self.windows, positions, channels)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "segments": self.segments,
            "size": self.size,
            "stride": self.stride,
        }
