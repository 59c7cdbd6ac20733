"""RandAugment and random erasing of a whole video, both streams alike (TensorFlow).

    inputs = {"rgb": rgb, "flow": flow}  # uint8 (T, S, S, 3F) and (T, S2, S2, 2L)
    inputs = augmented(inputs, seed, operations=2, magnitude=5.0, erase=0.25)

One draw per video: all its segments' frames and both its streams change alike.
Operations that move pixels move flow too, vectors included (`stfn_keras.video.warp`);
those of light and colour (`stfn_keras.video.photometric`) touch RGB alone. None of them
mirrors, so they are right also for data prepared with --noflip. The seed fixes every
draw.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from stfn_keras.video import photometric, warp
from stfn_keras.video.joined import joined_frames, single_frames

# The 14 operations of RandAugment (T: Cubuk et al. 2020), each as likely.
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
PHOTOMETRIC = (
    *("brightness", "contrast", "colour", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)
OPERATIONS = (*GEOMETRIC, *PHOTOMETRIC, "identity")

# At magnitude 10 (T: AutoAugment's ranges).
MOST_ANGLE = math.radians(30.0)
MOST_SHEAR = 0.3
MOST_SHIFT = 0.45  # of the side
MOST_BLEND = 0.9  # factors 0.1 to 1.9
MOST_BITS = 4  # dropped by posterize

# Of the view's area, and height over width (T: Zhong et al. 2020).
ERASED_AREA = (0.02, 1.0 / 3.0)
ERASED_ASPECT = (0.3, 1.0 / 0.3)


def augmented(
    inputs: dict[str, tf.Tensor],
    seed: tf.Tensor,
    *,
    operations: int,
    magnitude: float,
    erase: float,
) -> dict[str, tf.Tensor]:
    """Augment one video.

    Args:
        inputs: `rgb` uint8 (T, S, S, 3F), F frames one behind the other, and `flow`
            uint8 (T, S2, S2, 2L), or one.
        seed: int (2,); the same seed draws the same.
        operations: Operations drawn per video, with replacement; 0: none.
        magnitude: Their strength, 0 to 10.
        erase: Probability that one rectangle is erased.

    Returns:
        The same keys, shapes and types.
    """
    if operations:
        first = tf.random.experimental.stateless_fold_in(seed, 1)
        chosen, signs = draw_operations(first, operations)
        inputs = _applied(inputs, chosen, signs, magnitude / 10.0)
    if erase:
        second = tf.random.experimental.stateless_fold_in(seed, 2)
        inputs = _erased(inputs, second, erase)
    return inputs


def draw_operations(seed: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw operations with replacement, and a direction for each.

    Returns:
        int32 (count,), indices into `OPERATIONS`, and float32 (count,), -1 or 1.
    """
    draws = tf.random.stateless_uniform([count, 2], seed)
    chosen = tf.cast(draws[:, 0] * len(OPERATIONS), tf.int32)
    chosen = tf.minimum(chosen, len(OPERATIONS) - 1)
    return chosen, tf.where(draws[:, 1] < 0.5, -1.0, 1.0)


def movement(chosen: tf.Tensor, signs: tf.Tensor, strength: float) -> tf.Tensor:
    """The map of the drawn operations that move pixels, in the drawn order.

    Args:
        chosen: int32 (n,), indices into `OPERATIONS`.
        signs: float32 (n,), -1 or 1.
        strength: 0 to 1.

    Returns:
        float32 (3, 3), see `stfn_keras.video.warp`.
    """
    matrices = []
    for index, sign in zip(tf.unstack(chosen), tf.unstack(signs), strict=True):

        def amount(
            name: str, most: float, index: tf.Tensor = index, sign: tf.Tensor = sign
        ) -> tf.Tensor:
            drawn = tf.cast(index == OPERATIONS.index(name), tf.float32)
            return drawn * sign * most * strength

        # At most one of the three is not the identity.
        matrices += [
            warp.rotation(amount("rotate", MOST_ANGLE)),
            warp.shear(amount("shear_x", MOST_SHEAR), amount("shear_y", MOST_SHEAR)),
            warp.translation(
                amount("translate_x", MOST_SHIFT), amount("translate_y", MOST_SHIFT)
            ),
        ]
    return warp.compose(matrices)


def lit(
    frames: tf.Tensor, index: tf.Tensor, sign: tf.Tensor, strength: float
) -> tf.Tensor:
    """Apply one operation of light and colour; any other changes nothing.

    Args:
        frames: uint8 (T, S, S, 3).
        index: int32 scalar into `OPERATIONS`.
        sign: -1.0 or 1.0: less or more brightness, contrast, colour, sharpness.
        strength: 0 to 1; autocontrast and equalize have no strength.
    """
    factor = 1.0 + sign * (MOST_BLEND * strength)
    bits = 8 - round(MOST_BITS * strength)
    threshold = round(255 * (1.0 - strength))
    branches: dict[str, Callable[[], tf.Tensor]] = {
        "brightness": lambda: photometric.brightness(frames, factor),
        "contrast": lambda: photometric.contrast(frames, factor),
        "colour": lambda: photometric.colour(frames, factor),
        "sharpness": lambda: photometric.sharpness(frames, factor),
        "posterize": lambda: photometric.posterize(frames, bits),
        "solarize": lambda: photometric.solarize(frames, threshold),
        "autocontrast": lambda: photometric.autocontrast(frames),
        "equalize": lambda: photometric.equalize(frames),
    }
    found = tf.switch_case(
        index - OPERATIONS.index(PHOTOMETRIC[0]),
        [branches[name] for name in PHOTOMETRIC],
        default=lambda: frames,
    )
    return tf.ensure_shape(found, frames.shape)


def _applied(
    inputs: dict[str, tf.Tensor], chosen: tf.Tensor, signs: tf.Tensor, strength: float
) -> dict[str, tf.Tensor]:
    """Movement first and at once, then light and colour in the drawn order (C)."""
    moves = tf.reduce_any(chosen < len(GEOMETRIC))
    matrix = movement(chosen, signs, strength)
    found = {}
    for stream, images in inputs.items():
        move = warp.warp_rgb if stream == "rgb" else warp.warp_flow

        def moved(move: Callable = move, images: tf.Tensor = images) -> tf.Tensor:
            return move(images, matrix)

        def still(images: tf.Tensor = images) -> tf.Tensor:
            return images

        found[stream] = tf.ensure_shape(tf.cond(moves, moved, still), images.shape)
    if "rgb" in found:
        frames = single_frames(found["rgb"])
        for index, sign in zip(tf.unstack(chosen), tf.unstack(signs), strict=True):
            frames = lit(frames, index, sign, strength)
        found["rgb"] = joined_frames(frames, found["rgb"].shape[-1] // 3)
    return found


def draw_rectangle(seed: tf.Tensor) -> tf.Tensor:
    """Draw what is erased: top, left, bottom, right as shares of the side.

    Area and aspect are drawn as Zhong et al. draw them; a side that would be longer
    than the view is cut to it.

    Returns:
        float32 (4,).
    """
    draws = tf.random.stateless_uniform([4], seed)
    area = ERASED_AREA[0] + draws[0] * (ERASED_AREA[1] - ERASED_AREA[0])
    low, high = (math.log(aspect) for aspect in ERASED_ASPECT)
    aspect = tf.exp(low + draws[1] * (high - low))
    height = tf.minimum(tf.sqrt(area * aspect), 1.0)
    width = tf.minimum(tf.sqrt(area / aspect), 1.0)
    top, left = draws[2] * (1.0 - height), draws[3] * (1.0 - width)
    return tf.stack([top, left, top + height, left + width])


def erased(images: tf.Tensor, rectangle: tf.Tensor) -> tf.Tensor:
    """Fill a rectangle of every image with 128: gray, or no motion.

    Args:
        images: uint8 (T, S, S, channels).
        rectangle: float32 (4,), see `draw_rectangle`.
    """
    edges = tf.cast(tf.round(rectangle * images.shape[1]), tf.int32)
    top, left, bottom, right = tf.unstack(edges)
    band = images[:, top:bottom]
    shape = tf.stack([tf.shape(images)[0], bottom - top, right - left, images.shape[3]])
    fill = tf.fill(shape, tf.constant(warp.FILL, tf.uint8))
    band = tf.concat([band[:, :, :left], fill, band[:, :, right:]], axis=2)
    found = tf.concat([images[:, :top], band, images[:, bottom:]], axis=1)
    return tf.ensure_shape(found, images.shape)


def _erased(
    inputs: dict[str, tf.Tensor], seed: tf.Tensor, probability: float
) -> dict[str, tf.Tensor]:
    happens = tf.random.stateless_uniform([], seed) < probability
    drawn = draw_rectangle(tf.random.experimental.stateless_fold_in(seed, 1))
    rectangle = tf.where(happens, drawn, tf.zeros(4))  # an empty one
    return {stream: erased(images, rectangle) for stream, images in inputs.items()}
