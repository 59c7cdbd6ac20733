import numpy as np
import pytest

from stfn_keras.trajectories.extractor import dimensions
from stfn_keras.trajectories.histograms import (
    CHANNELS,
    cell_sums,
    maps,
    normalised,
    patches,
)

POINTS = np.array([[32, 24]], np.float32)
CELL = 16 * 16


def of_patch(gray, motion):
    return patches(cell_sums(maps(gray, motion)), POINTS)[0]


@pytest.fixture
def blank():
    return np.full((48, 64), 100, np.uint8)


@pytest.fixture
def still():
    return np.zeros((48, 64, 2), np.float32)


def test_descriptors_have_their_published_sizes():
    sizes = {"shape": 30, "hog": 96, "hof": 108, "mbhx": 96, "mbhy": 96}
    assert dimensions(15) == sizes
    total = np.ones((2, 3, 2, 2, CHANNELS), np.float32)
    assert normalised(total).shape == (2, 96 + 108 + 96 + 96)


def test_a_ramp_fills_one_orientation(still):
    ramp = np.tile(3 * np.arange(64, dtype=np.uint8), (48, 1))
    found = of_patch(ramp, still)
    expected = np.zeros(CHANNELS)
    expected[0] = 6 * CELL  # to the right: central differences of 2 x 3
    expected[16] = CELL  # no flow: every pixel counts once
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 2, 33)), rtol=1e-4)


def test_a_direction_between_two_bins_is_shared(blank, still):
    still[:] = np.cos(np.pi / 8), np.sin(np.pi / 8)  # 22.5 degrees
    found = of_patch(blank, still)
    np.testing.assert_allclose(found[..., 8:10], 0.5 * CELL, rtol=5e-3)
    assert not found[..., 10:].any() and not found[..., :8].any()


@pytest.mark.parametrize(
    ("motion", "bin_"), [((2, 0), 0), ((0, 2), 2), ((-2, 0), 4), ((0, -2), 6)]
)
def test_flow_goes_by_direction(blank, still, motion, bin_):
    still[:] = motion
    found = of_patch(blank, still)
    expected = np.zeros(9)
    expected[bin_] = 2 * CELL
    np.testing.assert_allclose(found[0, 0, 8:17], expected, rtol=5e-3, atol=1)


def test_a_slow_pixel_has_no_direction(blank, still):
    still[:] = 0.3, 0.0
    found = of_patch(blank, still)
    np.testing.assert_array_equal(found[..., 16], CELL)
    assert not found[..., 8:16].any()


def test_motion_boundaries_are_gradients_of_each_component(blank, still):
    still[..., 0] = 0.5 * np.arange(64)
    still[..., 1] = 0.25 * np.arange(48)[:, None]
    found = of_patch(blank, still)
    np.testing.assert_allclose(found[..., 17], 1.0 * CELL, rtol=1e-4)  # u to the right
    np.testing.assert_allclose(found[..., 27], 0.5 * CELL, rtol=1e-3)  # v down
    others = [c for c in range(17, 33) if c not in (17, 27)]
    assert abs(found[..., others]).max() < 1


def test_constant_flow_has_no_boundaries(blank, still):
    still[:] = 4.0, -3.0  # as a camera's pan
    assert not of_patch(blank, still)[..., 17:].any()


def test_cells_are_told_apart(blank, still):
    still[:24, :32] = 2.0, 0.0  # the patch's upper left cell
    found = of_patch(blank, still)
    np.testing.assert_allclose(found[..., 8], [[2 * CELL, 0], [0, 0]], atol=1e-3)
    np.testing.assert_allclose(found[..., 16], [[0, CELL], [CELL, CELL]], atol=1e-3)


def test_a_patch_is_moved_inside(blank, still):
    still[:] = 2.0, 0.0
    sums = cell_sums(maps(blank, still))
    corners = np.array([[0, 0], [63, 0], [0, 47], [63, 47]], np.float32)
    np.testing.assert_allclose(patches(sums, corners)[..., 8], 2 * CELL, rtol=1e-4)


def test_volumes_are_root_normalised():
    total = np.zeros((2, 3, 2, 2, CHANNELS), np.float32)
    total[0, ..., 0] = 7.0  # twelve cells, equal
    found = normalised(total)
    assert found[0, :96].reshape(3, 2, 2, 8)[1, 1, 0, 0] == pytest.approx(12**-0.5)
    assert np.linalg.norm(found[0, :96]) == pytest.approx(1)
    assert not found[0, 96:].any() and not found[1].any()
