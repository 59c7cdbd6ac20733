"""RandAugment and erasing: one draw per video, both streams, fixed by the seed."""

import math

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.video import augment, warp

SIDE, SEGMENTS = 16, 3
SEEDS = [tf.constant([7, k]) for k in range(40)]


def flat_video() -> dict[str, tf.Tensor]:
    """The same frame and motion in every segment, in both streams."""
    draws = np.random.default_rng(0)
    rgb = draws.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    flow = draws.integers(1, 256, (1, SIDE, SIDE, 4), dtype=np.uint8)
    repeated = {
        "rgb": np.repeat(rgb, SEGMENTS, 0),
        "flow": np.repeat(flow, SEGMENTS, 0),
    }
    return {stream: tf.constant(images) for stream, images in repeated.items()}


@tf.function
def compiled(inputs, seed):
    return augment.augmented(inputs, seed, operations=2, magnitude=9.0, erase=0.5)


def only(name: str, sign: float = 1.0) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant([augment.OPERATIONS.index(name)]), tf.constant([sign])


def test_all_segments_of_a_video_change_alike():
    changed = 0
    for seed in SEEDS:
        found = compiled(flat_video(), seed)
        for stream, images in found.items():
            assert (images.numpy() == images.numpy()[:1]).all(), (stream, seed)
        changed += not np.array_equal(found["rgb"], flat_video()["rgb"])
    assert changed > len(SEEDS) // 2


def test_the_same_seed_draws_the_same():
    for seed in SEEDS[:10]:
        again = compiled(flat_video(), seed)
        for stream, images in compiled(flat_video(), seed).items():
            np.testing.assert_array_equal(images, again[stream])


def test_eagerly_and_compiled_alike():
    """To one code: a compiled graph fuses operations, and ties round either way."""
    for seed in SEEDS[:6]:
        eager = augment.augmented(
            flat_video(), seed, operations=2, magnitude=9.0, erase=0.5
        )
        for stream, images in compiled(flat_video(), seed).items():
            apart = np.abs(images.numpy().astype(int) - eager[stream].numpy())
            assert (apart > 1).mean() < 0.002  # posterize may follow
            assert (apart > 0).mean() < 0.02


def test_seeds_differ():
    found = {compiled(flat_video(), seed)["rgb"].numpy().tobytes() for seed in SEEDS}
    assert len(found) > len(SEEDS) // 2


def test_one_stream_alone_gets_what_it_gets_beside_the_other():
    for seed in SEEDS[:10]:
        both = compiled(flat_video(), seed)
        for stream in both:
            alone = compiled({stream: flat_video()[stream]}, seed)
            np.testing.assert_array_equal(alone[stream], both[stream])


def test_shapes_and_types_are_kept():
    found = compiled(flat_video(), SEEDS[0])
    assert found["rgb"].shape == (SEGMENTS, SIDE, SIDE, 3)
    assert found["flow"].shape == (SEGMENTS, SIDE, SIDE, 4)
    assert {images.dtype for images in found.values()} == {tf.uint8}


def test_nothing_asked_for_is_nothing_done():
    inputs = flat_video()
    found = augment.augmented(inputs, SEEDS[0], operations=0, magnitude=9.0, erase=0.0)
    assert found is inputs


def test_every_operation_is_drawn_as_often():
    chosen, signs = augment.draw_operations(tf.constant([1, 2]), 14_000)
    counts = np.bincount(chosen, minlength=len(augment.OPERATIONS))
    assert len(counts) == len(augment.OPERATIONS) == 14
    assert counts.min() > 850
    assert counts.max() < 1150
    assert set(signs.numpy()) == {-1.0, 1.0}


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", augment.GEOMETRIC)
def test_movements_are_what_their_names_say(name, sign):
    expected = {
        "rotate": warp.rotation(sign * math.radians(15.0)),
        "shear_x": warp.shear(sign * 0.15, 0.0),
        "shear_y": warp.shear(0.0, sign * 0.15),
        "translate_x": warp.translation(sign * 0.225, 0.0),
        "translate_y": warp.translation(0.0, sign * 0.225),
    }[name]
    found = augment.movement(*only(name, sign), strength=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_movement_mirrors():
    """So that data prepared with --noflip, where left is not right, may use all."""
    for seed in SEEDS:
        chosen, signs = augment.draw_operations(seed, 3)
        matrix = augment.movement(chosen, signs, strength=1.0).numpy()
        assert np.linalg.det(matrix) > 0.7


@pytest.mark.parametrize("name", augment.PHOTOMETRIC)
def test_light_and_colour_touch_rgb_alone(name, monkeypatch):
    monkeypatch.setattr(augment, "draw_operations", lambda *_: only(name))
    inputs = flat_video()
    inputs["rgb"] = inputs["rgb"] // 2 + 40
    found = augment.augmented(inputs, SEEDS[0], operations=1, magnitude=8.0, erase=0.0)
    np.testing.assert_array_equal(found["flow"], inputs["flow"])
    assert not np.array_equal(found["rgb"], inputs["rgb"])


def test_the_identity_is_an_operation(monkeypatch):
    monkeypatch.setattr(augment, "draw_operations", lambda *_: only("identity"))
    inputs = flat_video()
    found = augment.augmented(inputs, SEEDS[0], operations=1, magnitude=8.0, erase=0.0)
    for stream, images in inputs.items():
        np.testing.assert_array_equal(found[stream], images)


def test_magnitude_zero_leaves_only_what_has_no_strength():
    frames = flat_video()["rgb"]
    for index, name in enumerate(augment.OPERATIONS):
        found = augment.lit(frames, tf.constant(index), tf.constant(-1.0), 0.0)
        if name not in ("autocontrast", "equalize"):
            np.testing.assert_array_equal(found, frames, name)
        matrix = augment.movement(*only(name), strength=0.0)
        np.testing.assert_array_equal(matrix, np.eye(3))


def test_one_rectangle_is_erased_from_both_streams_and_all_segments():
    rgb = tf.zeros([SEGMENTS, 40, 40, 3], tf.uint8)
    flow = tf.fill([SEGMENTS, 20, 20, 4], tf.constant(200, tf.uint8))
    for seed in SEEDS[:10]:
        found = augment.augmented(
            {"rgb": rgb, "flow": flow}, seed, operations=0, magnitude=0.0, erase=1.0
        )
        gone = (found["rgb"].numpy() == 128).all(-1)
        assert (gone == gone[:1]).all()
        rows, columns = np.nonzero(gone[0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height * width == gone[0].sum()  # a rectangle
        still = (found["flow"].numpy() == 128).all(-1)
        assert (still == still[:1]).all()
        there, across = np.nonzero(still[0])
        assert abs(there.min() - rows.min() / 2) <= 1
        assert abs(across.max() - columns.max() / 2) <= 1


def test_rectangles_lie_inside_and_have_the_areas_asked_for():
    drawn = tf.function(augment.draw_rectangle)
    boxes = np.stack([drawn(tf.constant([3, k])) for k in range(300)])
    assert boxes.min() >= 0.0
    assert boxes.max() <= 1.0
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert 0.02 <= areas.min()
    assert areas.max() <= 1 / 3 + 1e-6
    assert 0.1 < areas.mean() < 0.25


def test_erasing_happens_as_often_as_asked():
    erase = tf.function(
        lambda seed: augment.augmented(
            {"rgb": tf.zeros([1, 24, 24, 3], tf.uint8)},
            seed,
            operations=0,
            magnitude=0.0,
            erase=0.25,
        )["rgb"]
    )
    happened = [erase(tf.constant([5, k])).numpy().any() for k in range(400)]
    assert 0.18 < np.mean(happened) < 0.32
