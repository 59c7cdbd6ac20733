"""Changes of light and colour of a video's frames, RGB only (TensorFlow).

    frames = contrast(frames, factor=1.45)  # (T, H, W, 3) uint8

Every function maps uint8 (T, H, W, 3) to the same. What depends on the picture (the
mean gray of `contrast`, the histograms of `autocontrast` and `equalize`) is taken
over all T frames, so that every segment of a video is changed alike. They are those of
RandAugment (T: Cubuk et al. 2020), as Pillow has them for one image.
"""

import tensorflow as tf

LUMA = (0.299, 0.587, 0.114)  # of Pillow's "L"


def _pixels(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)


def _recoloured(frames: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Map each pixel's colour, a row (3,), by `colour @ matrix + shift`."""
    rows = tf.cast(tf.reshape(frames, [-1, 3]), tf.float32)  # (T * H * W, 3)
    found = tf.nn.bias_add(tf.matmul(rows, matrix), shift)
    return tf.reshape(_pixels(found), tf.shape(frames))


def brightness(frames: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blend with black; a factor of 1 changes nothing."""
    return _recoloured(frames, factor * tf.eye(3), tf.zeros(3))


def contrast(frames: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blend with the video's mean gray; a factor of 1 changes nothing."""
    means = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[0, 1, 2])
    mean = tf.reduce_sum(means * tf.constant(LUMA))
    return _recoloured(frames, factor * tf.eye(3), (1.0 - factor) * mean * tf.ones(3))


def colour(frames: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blend with the gray picture; a factor of 1 changes nothing."""
    gray = tf.constant(LUMA)[:, None]  # the same for all three
    return _recoloured(frames, factor * tf.eye(3) + (1.0 - factor) * gray, tf.zeros(3))


def sharpness(frames: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blend with the smoothed picture; a factor of 1 changes nothing.

    The outermost pixels stay as they are, as in Pillow.
    """
    values = tf.cast(frames, tf.float32)
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = values[:, 1:-1, 1:-1]
    smooth = (box + 4.0 * inner) / 13.0
    detail = tf.pad(inner - smooth, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _pixels(values + (factor - 1.0) * detail)


def posterize(frames: tf.Tensor, bits: int) -> tf.Tensor:
    """Keep the upper `bits`, 1 to 8, of each value."""
    return tf.bitwise.bitwise_and(frames, tf.constant(256 - 2 ** (8 - bits), tf.uint8))


def solarize(frames: tf.Tensor, threshold: int) -> tf.Tensor:
    """Invert the values above `threshold`, 0 to 255."""
    above = tf.cast(frames > tf.constant(threshold, tf.uint8), tf.uint8)
    return tf.bitwise.bitwise_xor(frames, 255 * above)  # 255 - x is x ^ 255


def autocontrast(frames: tf.Tensor) -> tf.Tensor:
    """Stretch each channel to 0-255 over the video; a flat channel stays."""
    low = tf.cast(tf.reduce_min(frames, axis=[0, 1, 2]), tf.float32)
    high = tf.cast(tf.reduce_max(frames, axis=[0, 1, 2]), tf.float32)
    flat = high <= low
    scale = tf.where(flat, 1.0, 255.0 / tf.where(flat, 1.0, high - low))
    shift = tf.where(flat, 0.0, -low * scale)
    return _recoloured(frames, tf.linalg.diag(scale), shift)


def equalize(frames: tf.Tensor) -> tf.Tensor:
    """Flatten each channel's histogram over the video; a flat channel stays."""
    keys = tf.nn.bias_add(tf.cast(frames, tf.int32), tf.constant([0, 256, 512]))
    counts = tf.math.bincount(tf.reshape(keys, [-1]), minlength=768, maxlength=768)
    counts = tf.reshape(counts, [3, 256])
    total = tf.reduce_sum(counts, axis=1, keepdims=True)
    # Pillow's rule: the brightest value present takes no part in the step.
    brightest = 255 - tf.argmax(tf.reverse(counts, [1]) > 0, axis=1)
    last = tf.gather(counts, brightest, axis=1, batch_dims=1)[:, None]
    step = (total - last) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256)[None])
    return tf.gather(tf.cast(tf.reshape(table, [-1]), tf.uint8), keys)
