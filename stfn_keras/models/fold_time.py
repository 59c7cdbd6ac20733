"""Segments as images of a batch and back, inside graphs that need both.

images = FoldTime()(videos)  # (batch * segments, height, width, channels)
maps = ops.reshape(images, by_segment(images.shape, segments=7))
"""

from typing import Any

import keras
from keras import ops


def by_segment(shape: tuple, segments: int) -> tuple[int, int, int, int]:
    """Return the shape of folded maps with their segments apart, in four dimensions.

    Height and width become one, since what mixes segments treats every position
    alike, and the portable runtimes know most operations in four dimensions only.

    Args:
        shape: `(batch * segments, height, width, channels)`, the latter three known.
        segments: How many segments make a video.

    Returns:
        `(-1, segments, height * width, channels)`; the batch is inferred.

    Raises:
        ValueError: The maps are not of known height, width and channels.
    """
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            "Folded maps must be (batch * segments, height, width, channels), all but "
            f"the first known. Received: {tuple(shape)}"
        )
    _, height, width, channels = shape
    return (-1, segments, height * width, channels)


def check_segments(segments: int) -> int:
    """Return the number of segments, or raise ValueError where it is below 1."""
    if segments < 1:
        raise ValueError(f"`segments` must be 1 or more. Received: {segments}")
    return segments


@keras.saving.register_keras_serializable(package="stfn_keras")
class FoldTime(keras.layers.Layer):
    """Lay the segments of all videos behind each other as one batch of images.

    The images of a video stay together and in their order, as `TimeDistributed`
    folds them. Values and their type, uint8 too, stay as they are.

    Input shape:
        `(batch, segments, ...)`, all but the batch known.

    Output shape:
        `(batch * segments, ...)`.

    Example:
    >>> FoldTime()(keras.ops.zeros((2, 7, 32, 32, 3))).shape
    (14, 32, 32, 3)
    """

    def call(self, inputs: Any) -> Any:
        """Return the images."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Give the shape of one segment, and the input's type."""
        batch, segments, *rest = inputs.shape
        folded = None if None in (batch, segments) else batch * segments
        return keras.KerasTensor((folded, *rest), dtype=inputs.dtype)
