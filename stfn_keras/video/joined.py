"""A snippet's frames, one behind the other in the channels, and back (TensorFlow).

    rgb = joined_frames(frames, 2)  # (T x 2, H, W, 3) -> (T, H, W, 6)
    frames = single_frames(rgb)     # ... and back

So a network reads them: red, green, blue of the first frame, then of the second one.
"""

import tensorflow as tf


def joined_frames(frames: tf.Tensor, count: int) -> tf.Tensor:
    """Bring each snippet's frames together.

    Args:
        frames: (T x count, H, W, 3), snippet by snippet.
        count: Frames of a snippet.

    Returns:
        (T, H, W, 3 count).
    """
    if count == 1:
        return frames
    shape, (height, width) = tf.shape(frames), frames.shape[1:3]
    apart = tf.reshape(frames, [-1, count, shape[1], shape[2], 3])
    joined = tf.transpose(apart, [0, 2, 3, 1, 4])  # (T, H, W, count, 3)
    joined = tf.reshape(joined, [-1, shape[1], shape[2], 3 * count])
    return tf.ensure_shape(joined, [None, height, width, 3 * count])


def single_frames(joined: tf.Tensor) -> tf.Tensor:
    """Take snippets apart: (T, H, W, 3 count) to (T x count, H, W, 3)."""
    count = joined.shape[-1] // 3
    if count == 1:
        return joined
    shape, (height, width) = tf.shape(joined), joined.shape[1:3]
    apart = tf.reshape(joined, [-1, shape[1], shape[2], count, 3])
    apart = tf.transpose(apart, [0, 3, 1, 2, 4])  # (T, count, H, W, 3)
    apart = tf.reshape(apart, [-1, shape[1], shape[2], 3])
    return tf.ensure_shape(apart, [None, height, width, 3])
