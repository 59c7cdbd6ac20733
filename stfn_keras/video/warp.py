"""Moves the pixels of a view: one linear map for both streams (TensorFlow).

    matrix = compose([rotation(0.3), translation(0.1, 0.0)])  # (3, 3)
    rgb = warp_rgb(rgb, matrix)      # (T, 224, 224, 3) uint8
    flow = warp_flow(flow, matrix)   # (T, 224, 224, 10) uint8

A matrix says where a point goes: homogeneous (x, y, 1) with x to the right, y down,
the origin in the middle of the view and its side as the unit, so it means the same at
every size. Where a point moves to A x + t its motion (u, v) becomes A (u, v): a flow
field is moved *and* its vectors are turned. Pixels from outside are gray in RGB and no
motion in flow, 128 in both.
"""

from collections.abc import Sequence
from functools import reduce

import tensorflow as tf

FILL = 128  # gray; the code of no motion


def _matrix(rows: Sequence[Sequence[tf.Tensor | float]]) -> tf.Tensor:
    return tf.stack([tf.stack([tf.cast(x, tf.float32) for x in row]) for row in rows])


def rotation(angle: tf.Tensor | float) -> tf.Tensor:
    """Turn by `angle` radians, clockwise as it is seen; float32 (3, 3)."""
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _matrix([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def shear(x: tf.Tensor | float, y: tf.Tensor | float) -> tf.Tensor:
    """Shift rows by `x` per row and columns by `y` per column; float32 (3, 3)."""
    return _matrix([[1.0, x, 0.0], [y, 1.0, 0.0], [0.0, 0.0, 1.0]])


def translation(x: tf.Tensor | float, y: tf.Tensor | float) -> tf.Tensor:
    """Shift by `x`, `y` sides of the view; float32 (3, 3)."""
    return _matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def compose(matrices: Sequence[tf.Tensor]) -> tf.Tensor:
    """The one map that does these in order, so pixels are interpolated once."""
    return reduce(lambda done, then: tf.matmul(then, done), matrices)


def _warped(images: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Sample uint8 images at where each pixel comes from; float32, bilinear."""
    side = images.shape[1]
    inverse = tf.linalg.inv(matrix)
    middle = tf.constant([(side - 1) / 2.0] * 2)  # of the pixel grid
    linear = inverse[:2, :2]
    offset = middle - tf.linalg.matvec(linear, middle) + side * inverse[:2, 2]
    rows = tf.concat([linear, offset[:, None]], axis=1)  # (2, 3): pixels to pixels
    # In float32: on uint8 the kernel is no faster and it truncates.
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.concat([tf.reshape(rows, [1, 6]), [[0.0, 0.0]]], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=float(FILL),
    )


def warp_rgb(frames: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Move frames.

    Args:
        frames: uint8 (T, S, S, 3), or more frames in the channels.
        matrix: float32 (3, 3), see the module.

    Returns:
        uint8 of the same shape.
    """
    found = tf.cast(tf.round(_warped(frames, matrix)), tf.uint8)
    return tf.ensure_shape(found, frames.shape)


def warp_flow(codes: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Move flow and turn its vectors.

    Args:
        codes: uint8 (T, S, S, 2L), codes 1-255 centred on 128, u1, v1, u2, v2, ...
        matrix: float32 (3, 3), see the module.

    Returns:
        uint8 (T, S, S, 2L), codes 1-255.
    """
    pairs = codes.shape[-1] // 2
    vectors = tf.reshape(_warped(codes, matrix) - float(FILL), [-1, 2 * pairs])
    # A vector is a row here; one product turns the L vectors of a pixel.
    turn = tf.einsum("ij,ba->iajb", tf.eye(pairs), matrix[:2, :2])
    vectors = tf.matmul(vectors, tf.reshape(turn, [2 * pairs, 2 * pairs]))
    found = tf.clip_by_value(tf.round(vectors) + float(FILL), 1.0, 255.0)
    found = tf.reshape(tf.cast(found, tf.uint8), tf.shape(codes))  # (T, S, S, 2L)
    return tf.ensure_shape(found, codes.shape)
