"""The view layer: one crop for both streams, exact flips, zoomed vectors."""

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.video import image, view

HEIGHT, WIDTH, PAIRS = 30, 44, 2


def box(*values: int) -> tf.Tensor:
    return tf.constant(values, tf.int32)


@pytest.fixture
def codes() -> np.ndarray:
    """Smooth flow codes, uint8 (T, H, W, 2L)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [128 + 20 * np.sin(x / 9 + k) + 10 * np.cos(y / 7) for k in range(4)]
    return np.stack([np.stack(planes, -1)] * 3).round().astype(np.uint8)


def test_mosaic_decodes_to_interleaved_channels(codes):
    tiles = codes[0].reshape(HEIGHT, WIDTH, PAIRS, 2).transpose(2, 0, 1, 3)
    jpeg = image.encode_flow(tiles)
    found = view.decode_flow(tf.constant(jpeg), HEIGHT, WIDTH, PAIRS).numpy()
    expected = image.decode_flow(jpeg, HEIGHT, WIDTH)  # (L, H, W, 2), by OpenCV
    for pair in range(PAIRS):
        np.testing.assert_array_equal(found[..., 2 * pair], expected[pair, ..., 0])
        np.testing.assert_array_equal(found[..., 2 * pair + 1], expected[pair, ..., 1])


def test_flip_mirrors_and_negates_u_exactly(codes):
    plain = view.crop_flow(codes, box(0, 0, 30, 30, 0), 30).numpy().astype(int)
    flipped = view.crop_flow(codes, box(0, 0, 30, 30, 1), 30).numpy().astype(int)
    np.testing.assert_array_equal(flipped[..., 0::2], 256 - plain[:, :, ::-1, 0::2])
    np.testing.assert_array_equal(flipped[..., 1::2], plain[:, :, ::-1, 1::2])


def test_flip_of_a_moving_video_is_the_flow_of_the_mirrored_video():
    """A known motion: the mirror image of rightward motion is leftward motion."""
    still = np.full((1, 16, 16, 2), 128, np.uint8)
    moving = still.copy()
    moving[..., 0] = 128 + 19  # 3 pixels to the right
    moving[..., 1] = 128 - 6
    found = view.crop_flow(moving, box(0, 0, 16, 16, 1), 16).numpy()
    assert (found[..., 0] == 128 - 19).all()
    assert (found[..., 1] == 128 - 6).all()
    assert (view.crop_flow(still, box(0, 0, 16, 16, 1), 16).numpy() == 128).all()


def test_vectors_grow_with_the_zoom_and_not_with_the_size():
    flow = np.full((1, 40, 60, 2), 128, np.uint8)
    flow[..., 0], flow[..., 1] = 138, 118
    whole = view.crop_flow(flow, box(0, 0, 40, 40, 0), 20).numpy()
    assert (whole == (138, 118)).all()  # half the size, the same zoom
    half = view.crop_flow(flow, box(0, 0, 20, 20, 0), 20).numpy()
    assert (half == (148, 108)).all()
    stretched = view.crop_flow(flow, box(0, 0, 40, 20, 0), 20).numpy()
    assert (stretched == (148, 118)).all()  # narrower: u alone grows


def test_codes_stay_in_1_to_255():
    flow = np.full((1, 40, 40, 2), 250, np.uint8)
    flow[..., 1] = 1
    found = view.crop_flow(flow, box(0, 0, 10, 10, 0), 8).numpy()
    assert (found == (255, 1)).all()


def test_both_streams_see_the_same_crop():
    ramp = np.tile(np.arange(100, 140, dtype=np.uint8), (30, 1))
    frames, flow = np.stack([ramp] * 3, -1)[None], np.stack([ramp] * 2, -1)[None]
    crop = box(4, 6, 30, 30, 0)  # zoom 1 for vectors: the short side
    crop = tf.tensor_scatter_nd_update(crop, [[0]], [0])
    rgb = view.crop_rgb(frames, crop, 30).numpy()
    both = view.crop_flow(flow, crop, 30).numpy()
    np.testing.assert_array_equal(rgb[..., 0], both[..., 1])


@pytest.mark.parametrize("count", view.CROP_COUNTS)
def test_fixed_crops_are_distinct_and_inside(count):
    crops = view.fixed_crops(tf.constant(240), tf.constant(320), count).numpy()
    assert len(np.unique(crops, axis=0)) == count
    assert (crops[:, 2:4] == 210).all()
    assert (crops[:, 0] + 210 <= 240).all()
    assert (crops[:, 1] + 210 <= 320).all()
    assert tuple(crops[0]) == (15, 55, 210, 210, 0)


def test_unoffered_crop_count_is_refused():
    with pytest.raises(UserError, match="Received: 3"):
        view.fixed_crops(tf.constant(240), tf.constant(320), 3)


def test_random_crops_cover_the_13_positions_and_stay_inside():
    draw = tf.function(
        lambda seed: view.random_crop(
            tf.constant(240), tf.constant(320), seed, (1.0, 0.875, 0.75, 0.66), True
        )
    )
    crops = np.stack([draw(tf.constant([3, i])).numpy() for i in range(400)])
    y, x, height, width, flip = crops.T
    assert (y >= 0).all()
    assert (y + height <= 240).all()
    assert (x + width <= 320).all()
    assert set(flip) == {0, 1}
    sides = [240, 210, 180, 158]
    assert set(height) == set(width) == set(sides)
    steps = np.abs([sides.index(h) - sides.index(w) for h, w in crops[:, 2:4]])
    assert steps.max() == 1
    small = crops[(height == 180) & (width == 180)]
    allowed = {(p[0] * 60 // 4, p[1] * 140 // 4) for p in view.POSITIONS}
    assert {tuple(c[:2]) for c in small} <= allowed
    assert len({tuple(c[:2]) for c in small}) > 8


def test_random_crop_without_flip_never_flips():
    for i in range(40):
        crop = view.random_crop(
            tf.constant(64), tf.constant(64), tf.constant([0, i]), (1.0,), False
        )
        assert crop[4] == 0


def test_eagerly_and_in_the_pipeline_alike(codes):
    """The same crop gives the same bytes eagerly and inside a compiled map."""
    crop = box(3, 5, 22, 20, 1)
    eager = view.crop_flow(codes, crop, 16)
    data = tf.data.Dataset.from_tensors((codes, crop))
    piped = next(iter(data.map(lambda c, b: view.crop_flow(c, b, 16))))
    np.testing.assert_array_equal(eager, piped)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(
    "crop", [(0, 0, 30, 30, 0), (3, 9, 20, 24, 1), (0, 14, 27, 30, 1)]
)
def test_cropping_before_the_channels_are_joined_changes_no_bit(codes, crop, dense):
    tiles = codes.reshape(3, HEIGHT, WIDTH, PAIRS, 2).transpose(0, 3, 1, 2, 4)
    if dense:
        jpegs = [[image.encode_flow(pair[None]) for pair in pairs] for pairs in tiles]
    else:
        jpegs = [image.encode_flow(pairs) for pairs in tiles]
    stored = tf.constant(jpegs), tf.constant(HEIGHT), tf.constant(WIDTH), PAIRS
    whole = view.crop_flow(view.decode_flows(*stored), box(*crop), 16)
    found = view.cropped_flows(*stored, box(*crop), 16)
    assert found.shape == (3, 16, 16, 2 * PAIRS)
    np.testing.assert_array_equal(found, whole)
