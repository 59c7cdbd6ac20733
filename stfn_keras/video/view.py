"""From encoded snippets to network input: decode, crop, resize, flip (TensorFlow).

    crop = centre_crop(height, width)                     # (y, x, h, w, flip)
    rgb = crop_rgb(decode_frames(jpegs), crop, size=224)  # (T, 224, 224, 3) uint8
    codes = decode_flows(mosaics, height, width, pairs=5)
    flow = crop_flow(codes, crop, size=224)               # (T, 224, 224, 10) uint8

Training, evaluation, prediction and the exported graph all call these functions,
and one crop serves both streams. A crop is an int32 vector `(y, x, height, width,
flip)` in pixels of the stored frame. Flow vectors grow with the zoom of the crop
relative to a crop of the whole short side, so that a change of scale means the same
in both streams while an unscaled view keeps its codes (and their precision).
"""

from collections.abc import Sequence

import tensorflow as tf

from stfn_keras.errors import UserError

TEST_CROP = 0.875  # side of a test crop over the short side: 224 / 256 (T: TSN)

# Offsets in quarters of the free space (y, x): four corners and the centre, then the
# edges' middles and the inner quarters (T: TSN's 13 fixed positions).
CORNERS_AND_CENTRE = ((2, 2), (0, 0), (0, 4), (4, 0), (4, 4))
POSITIONS = (
    *CORNERS_AND_CENTRE,
    *((0, 2), (2, 0), (2, 4), (4, 2)),
    *((1, 1), (1, 3), (3, 1), (3, 3)),
)
CROP_COUNTS = (1, 2, 5, 10)


def decode_rgb(jpeg: tf.Tensor) -> tf.Tensor:
    """Decode one RGB JPEG exactly as OpenCV does; uint8 (H, W, 3)."""
    return tf.io.decode_jpeg(
        jpeg, channels=3, dct_method="INTEGER_ACCURATE", name="rgb_jpeg"
    )


def decode_flow(
    jpeg: tf.Tensor, height: tf.Tensor, width: tf.Tensor, pairs: int
) -> tf.Tensor:
    """Decode one flow mosaic.

    Args:
        jpeg: Grayscale mosaic of `pairs` rows of (u | v) tiles.
        height: True height of a tile in pixels.
        width: True width of a tile in pixels.
        pairs: Flow pairs L in the snippet.

    Returns:
        uint8 (height, width, 2L), codes 1-255, channels u1, v1, u2, v2, ...
    """
    tiles = tf.transpose(_tiles(jpeg, pairs), [1, 3, 0, 2])  # (rows, columns, pairs, 2)
    tiles = tiles[:height, :width]
    codes = tf.reshape(tiles, [height, width, 2 * pairs])
    return tf.maximum(codes, tf.constant(1, tf.uint8))


def _tiles(jpegs: tf.Tensor, pairs: int) -> tf.Tensor:
    """Decode a mosaic, or one of each pair; uint8 (pairs, rows, 2, columns), padded."""
    if jpegs.shape.rank == 1:
        spec = tf.TensorSpec([1, None, 2, None], tf.uint8)
        each = tf.map_fn(lambda jpeg: _tiles(jpeg, 1), jpegs, fn_output_signature=spec)
        return tf.squeeze(each, 1)
    mosaic = tf.io.decode_jpeg(
        jpegs, channels=1, dct_method="INTEGER_ACCURATE", name="flow_jpeg"
    )
    rows = tf.shape(mosaic)[0] // pairs
    columns = tf.shape(mosaic)[1] // 2
    return tf.reshape(mosaic, [pairs, rows, 2, columns])


def _resized(images: tf.Tensor, crop: tf.Tensor, size: int) -> tf.Tensor:
    y, x, height, width = crop[0], crop[1], crop[2], crop[3]
    patch = images[:, y : y + height, x : x + width]
    return _resized_patch(patch, size)


def _resized_patch(patch: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear, float32: the kernel is faster on it than on uint8, cast included."""
    return tf.image.resize(tf.cast(patch, tf.float32), [size, size])


def _flipped(images: tf.Tensor, crop: tf.Tensor) -> tf.Tensor:
    def mirrored() -> tf.Tensor:
        shape = tf.shape(images)  # as rows it takes a third of the time
        rows = tf.reshape(images, [-1, *images.shape[2:]])
        return tf.reshape(tf.reverse(rows, [1]), shape)

    return tf.cond(crop[4] > 0, mirrored, lambda: images)


def crop_rgb(frames: tf.Tensor, crop: tf.Tensor, size: int) -> tf.Tensor:
    """Crop, resize and flip frames.

    Args:
        frames: uint8 (T, H, W, 3).
        crop: int32 (5,), see the module.
        size: Side of the result in pixels.

    Returns:
        uint8 (T, size, size, 3).
    """
    resized = tf.cast(tf.round(_resized(frames, crop, size)), tf.uint8)
    resized = tf.ensure_shape(resized, [None, size, size, 3])
    return _flipped(resized, crop)


def crop_flow(codes: tf.Tensor, crop: tf.Tensor, size: int) -> tf.Tensor:
    """Crop, resize and flip flow; vectors are zoomed with the crop, u negated on flips.

    Args:
        codes: uint8 (T, H, W, 2L), codes 1-255 centred on 128.
        crop: int32 (5,), see the module.
        size: Side of the result in pixels.

    Returns:
        uint8 (T, size, size, 2L), codes 1-255.
    """
    short = tf.minimum(tf.shape(codes)[1], tf.shape(codes)[2])
    return _zoomed(_resized(codes, crop, size), crop, short)


def _zoomed(resized: tf.Tensor, crop: tf.Tensor, short: tf.Tensor) -> tf.Tensor:
    """Zoom resized codes with their crop and flip them.

    Args:
        resized: float32 (T, size, size, 2L).
        crop: Where they come from.
        short: Short side of the stored frame in pixels.

    Returns:
        uint8, 1-255.
    """
    size, channels = resized.shape[2:]
    short = tf.cast(short, tf.float32)
    zoom_u = short / tf.cast(crop[3], tf.float32)
    zoom_v = short / tf.cast(crop[2], tf.float32)
    sign = tf.where(crop[4] > 0, -1.0, 1.0)
    # Whole rows are multiplied: along the channels alone it takes twice as long.
    factors = tf.tile(tf.stack([sign * zoom_u, zoom_v]), [size * channels // 2])
    rows = tf.reshape(resized, [-1, size * channels])
    vectors = (rows - 128.0) * factors
    # One pass over the pixels, where `tf.clip_by_value` makes two.
    scaled = tf.raw_ops.ClipByValue(
        t=tf.round(vectors) + 128.0, clip_value_min=1.0, clip_value_max=255.0
    )
    scaled = tf.reshape(tf.cast(scaled, tf.uint8), [-1, size, size, channels])
    return _flipped(scaled, crop)


def cropped_flows(
    jpegs: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    pairs: int,
    crop: tf.Tensor,
    size: int,
) -> tf.Tensor:
    """`crop_flow` of `decode_flows`, bit for bit, in about half their time.

    Most of that goes into bringing the channels together: here only the crop's.

    Returns:
        uint8 (T, size, size, 2L), codes 1-255.
    """
    y, x, high, wide = crop[0], crop[1], crop[2], crop[3]

    def snippet(jpegs: tf.Tensor) -> tf.Tensor:
        tiles = _tiles(jpegs, pairs)[:, y : y + high, :, x : x + wide]
        planes = tf.maximum(tf.transpose(tiles, [0, 2, 1, 3]), tf.constant(1, tf.uint8))
        pixels = tf.transpose(tf.reshape(planes, [2 * pairs, high * wide]))
        codes = tf.reshape(pixels, [1, high, wide, 2 * pairs])
        zoomed = _zoomed(_resized_patch(codes, size), crop, tf.minimum(height, width))
        return zoomed[0]

    spec = tf.TensorSpec([size, size, 2 * pairs], tf.uint8)
    return tf.map_fn(snippet, jpegs, fn_output_signature=spec)


def decode_frames(jpegs: tf.Tensor) -> tf.Tensor:
    """Decode (T,) RGB JPEGs of one size; uint8 (T, H, W, 3). (T, F) give T x F."""
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    if jpegs.shape.rank == 2:
        jpegs = tf.reshape(jpegs, [-1])
    return tf.map_fn(decode_rgb, jpegs, fn_output_signature=spec)


def decode_flows(
    jpegs: tf.Tensor, height: tf.Tensor, width: tf.Tensor, pairs: int
) -> tf.Tensor:
    """Decode the flow of T snippets of one true size.

    Args:
        jpegs: Strings (T,), a mosaic of L pairs each, or (T, L), one pair each: the
            same pixels, since no JPEG block straddles two tiles.
        height: True height of a tile in pixels.
        width: True width of a tile in pixels.
        pairs: Flow pairs L in a snippet.

    Returns:
        uint8 (T, height, width, 2L), channels u1, v1, u2, v2, ...
    """
    per_jpeg = pairs if jpegs.shape.rank == 1 else 1
    codes = tf.map_fn(
        lambda jpeg: decode_flow(jpeg, height, width, per_jpeg),
        tf.reshape(jpegs, [-1]),
        fn_output_signature=tf.TensorSpec([None, None, 2 * per_jpeg], tf.uint8),
    )
    if per_jpeg == pairs:
        return codes
    codes = tf.reshape(codes, [-1, pairs, height, width, 2])  # (T, L, h, w, 2)
    codes = tf.transpose(codes, [0, 2, 3, 1, 4])  # (T, h, w, L, 2)
    return tf.reshape(codes, [-1, height, width, 2 * pairs])


def _crop_at(
    height: tf.Tensor,
    width: tf.Tensor,
    crop_height: tf.Tensor,
    crop_width: tf.Tensor,
    position: tf.Tensor,
    flip: tf.Tensor | int,
) -> tf.Tensor:
    y = (height - crop_height) * position[0] // 4
    x = (width - crop_width) * position[1] // 4
    parts = [y, x, crop_height, crop_width, flip]
    return tf.stack([tf.cast(part, tf.int32) for part in parts])


def check_crop_count(count: int) -> None:
    """Raise UserError where a number of crops is not offered."""
    if count not in CROP_COUNTS:
        offered = ", ".join(map(str, CROP_COUNTS))
        raise UserError(
            f"crops, the C of --views=SxC, must be one of {offered}. Received: {count}"
        )


def fixed_crops(height: tf.Tensor, width: tf.Tensor, count: int) -> tf.Tensor:
    """The fixed crops of a test view.

    Args:
        height: Stored height in pixels, int32 scalar.
        width: Stored width in pixels, int32 scalar.
        count: 1 the centre; 2 the centre and its mirror image; 5 the centre and the
            corners; 10 the five and their mirror images (T: TSN).

    Returns:
        int32 (count, 5).

    Raises:
        UserError: `count` is none of these.
    """
    check_crop_count(count)
    short = tf.cast(tf.minimum(height, width), tf.float32)
    side = tf.maximum(tf.cast(tf.round(short * TEST_CROP), tf.int32), 1)
    positions = CORNERS_AND_CENTRE[: 1 if count < 5 else 5]
    flips = (0, 1) if count in (2, 10) else (0,)
    return tf.stack(
        [
            _crop_at(height, width, side, side, tf.constant(position), flip)
            for flip in flips
            for position in positions
        ]
    )


def centre_crop(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The one crop of the centre view; int32 (5,)."""
    return fixed_crops(height, width, 1)[0]


def random_crop(
    height: tf.Tensor,
    width: tf.Tensor,
    seed: tf.Tensor,
    scales: Sequence[float],
    flip: bool,
) -> tf.Tensor:
    """Draw a training crop: scale jitter, 13 positions, mirror image (T: TSN).

    Args:
        height: Stored height in pixels, int32 scalar.
        width: Stored width in pixels, int32 scalar.
        seed: int (2,); the same seed draws the same crop.
        scales: Sides over the short side, descending; height and width of a crop
            take the same or neighbouring ones.
        flip: Whether a mirror image may be drawn.

    Returns:
        int32 (5,).
    """
    draws = tf.random.stateless_uniform([4], seed)
    count = len(scales)

    def index(draw: tf.Tensor, number: int) -> tf.Tensor:
        return tf.minimum(tf.cast(draw * number, tf.int32), number - 1)

    across = index(draws[0], count)
    down = tf.clip_by_value(across + index(draws[1], 3) - 1, 0, count - 1)
    short = tf.cast(tf.minimum(height, width), tf.float32)
    sides = tf.cast(tf.round(short * tf.constant(list(scales), tf.float32)), tf.int32)
    position = tf.constant(POSITIONS)[index(draws[2], len(POSITIONS))]
    mirrored = tf.cast(draws[3] < 0.5, tf.int32) if flip else 0
    return _crop_at(height, width, sides[down], sides[across], position, mirrored)
