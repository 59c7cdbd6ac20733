"""Moving both streams: pixels, vectors, and that the two belong together."""

import math

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.video import warp

SIDE = 33


def constant_flow(u: int, v: int, pairs: int = 2) -> np.ndarray:
    codes = np.full((1, SIDE, SIDE, 2 * pairs), 128, np.uint8)
    codes[..., 0::2], codes[..., 1::2] = 128 + u, 128 + v
    return codes


def blob(x: float, y: float) -> np.ndarray:
    """A bright spot on gray, uint8 (1, SIDE, SIDE, 3)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    spot = 120 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8.0)
    return np.repeat((128 + spot).round().astype(np.uint8)[None, ..., None], 3, -1)


def centroid(frame: np.ndarray) -> np.ndarray:
    """(x, y) of what is brighter than gray."""
    light = np.asarray(frame)[0, ..., 0].astype(float) - 128
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()


def test_the_identity_changes_nothing():
    draws = np.random.default_rng(0)
    rgb = draws.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    flow = draws.integers(1, 256, (2, SIDE, SIDE, 4), dtype=np.uint8)
    same = warp.compose([warp.rotation(0.0), warp.shear(0.0, 0.0)])
    np.testing.assert_array_equal(warp.warp_rgb(rgb, same), rgb)
    np.testing.assert_array_equal(warp.warp_flow(flow, same), flow)


def test_a_quarter_turn_turns_the_picture_clockwise():
    rgb = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    found = warp.warp_rgb(rgb, warp.rotation(math.pi / 2))
    np.testing.assert_array_equal(found, np.rot90(rgb, -1, axes=(1, 2)))


@pytest.mark.parametrize(
    ("matrix", "vector"),
    [
        (warp.rotation(math.pi / 2), (0, 20)),  # right becomes down
        (warp.rotation(math.pi), (-20, 0)),
        (warp.rotation(math.radians(30)), (17, 10)),
        (warp.rotation(math.radians(-30)), (17, -10)),
        (warp.shear(0.3, 0.0), (20, 0)),
        (warp.shear(0.0, 0.3), (20, 6)),
        (warp.translation(0.2, -0.4), (20, 0)),
    ],
)
def test_vectors_of_a_constant_field_are_turned(matrix, vector):
    found = warp.warp_flow(constant_flow(20, 0), matrix).numpy().astype(int) - 128
    middle = found[0, SIDE // 2, SIDE // 2]
    assert tuple(middle[:2]) == tuple(middle[2:]) == vector
    assert {tuple(v) for v in found[..., :2].reshape(-1, 2)} >= {vector}


def test_no_motion_stays_no_motion_exactly():
    matrix = warp.compose([warp.rotation(0.37), warp.shear(0.2, -0.1)])
    assert (warp.warp_flow(constant_flow(0, 0), matrix).numpy() == 128).all()


def test_opposite_motions_stay_opposite_exactly():
    codes = np.random.default_rng(0).integers(
        1, 256, (1, SIDE, SIDE, 4), dtype=np.uint8
    )
    opposite = (256 - codes.astype(int)).astype(np.uint8)
    matrix = warp.compose([warp.rotation(0.37), warp.translation(0.1, 0.0)])
    one, other = (warp.warp_flow(c, matrix).numpy() for c in (codes, opposite))
    np.testing.assert_array_equal(256 - one.astype(int), other)


def test_codes_stay_in_1_to_255():
    codes = constant_flow(127, 127)
    found = warp.warp_flow(codes, warp.rotation(math.radians(45))).numpy()
    assert found.min() >= 1
    assert found[0, SIDE // 2, SIDE // 2, 1] == 255


@pytest.mark.parametrize(
    "matrix",
    [
        warp.rotation(math.radians(25)),
        warp.shear(0.3, 0.0),
        warp.shear(0.0, -0.3),
        warp.translation(0.1, -0.15),
        warp.compose([warp.rotation(-0.4), warp.shear(0.2, 0.0)]),
    ],
)
def test_the_warped_flow_is_the_motion_of_the_warped_frames(matrix):
    """The regression: pixels moved and vectors left, or turned the wrong way."""
    u, v = 5, -3
    first, second = blob(14, 18), blob(14 + u, 18 + v)
    motion = centroid(warp.warp_rgb(second, matrix)) - centroid(
        warp.warp_rgb(first, matrix)
    )
    codes = warp.warp_flow(constant_flow(10 * u, 10 * v), matrix).numpy()
    vectors = (codes[0, SIDE // 2, SIDE // 2, :2].astype(float) - 128) / 10
    np.testing.assert_allclose(vectors, motion, atol=0.1)


def test_both_streams_move_alike_at_their_own_sizes():
    """A spot at the same place of both views stays at the same place of both."""
    matrix = warp.compose([warp.rotation(0.3), warp.translation(0.1, 0.05)])
    places = []
    for side in (33, 99):
        rows, columns = np.mgrid[:side, :side] / (side - 1) - 0.5
        spot = 100 * np.exp(-((columns - 0.1) ** 2 + (rows + 0.05) ** 2) / 0.01)
        images = np.repeat((128 + spot).astype(np.uint8)[None, ..., None], 3, -1)
        light = warp.warp_rgb(images, matrix).numpy()[0, ..., 0].astype(float) - 128
        places.append([(light * columns).sum(), (light * rows).sum()] / light.sum())
    np.testing.assert_allclose(places[0], places[1], atol=0.01)


def test_what_comes_from_outside_is_128():
    rgb = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    moved = warp.warp_rgb(rgb, warp.translation(0.5, 0.0)).numpy()
    assert (moved[:, :, :16] == 128).all()
    assert (moved[:, :, 18:] == 0).all()
    flow = warp.warp_flow(constant_flow(50, 0), warp.translation(0.5, 0.0)).numpy()
    assert (flow[:, :, :16] == 128).all()


def test_maps_compose_in_order():
    turned_first = warp.compose(
        [warp.rotation(math.pi / 2), warp.translation(0.25, 0.0)]
    )
    found = tf.linalg.matvec(turned_first, [0.25, 0.0, 1.0])
    np.testing.assert_allclose(found, [0.25, 0.25, 1.0], atol=1e-6)
