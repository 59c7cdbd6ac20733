import numpy as np
import pytest
from trajectories.rendered import panned, texture

from stfn_keras.trajectories.histograms import CHANNELS
from stfn_keras.trajectories.scales import sample_points, scale_shapes
from stfn_keras.trajectories.shape import is_kept, shape_descriptor
from stfn_keras.trajectories.tracking import Tracks
from stfn_keras.video import flow

NONE = np.zeros((0, 2), np.float32)


def test_scales_shrink_until_no_patch_fits():
    assert scale_shapes(240, 320, 8) == [
        (240, 320), (170, 226), (120, 160), (85, 113), (60, 80), (42, 57),
    ]  # fmt: skip
    assert scale_shapes(240, 320, 2) == [(240, 320), (170, 226)]
    assert scale_shapes(31, 320, 8) == []


def test_points_lie_on_a_grid_where_there_is_texture():
    gray = np.full((60, 80), 128, np.uint8)
    gray[:, 40:] = texture(60, 40)
    points = sample_points(gray, 5, NONE)
    assert len(points) > 60
    assert (points[:, 0] > 36).all()
    assert (points % 5 == 2).all()
    assert not len(sample_points(np.full((60, 80), 7, np.uint8), 5, NONE))


def test_points_are_sampled_where_no_track_is():
    gray = texture(60, 80)
    first = sample_points(gray, 5, NONE)
    assert not len(sample_points(gray, 5, first))
    np.testing.assert_array_equal(sample_points(gray, 5, first[3:]), first[:3])


@pytest.mark.parametrize("step", [(1.5, -0.7), (-3.2, 2.0)])
def test_a_translation_is_followed(step):
    frames = panned(16, *step, (96, 128))
    tracks = Tracks(15)
    tracks.add(sample_points(frames[0], 5, NONE))
    for before, after in zip(frames, frames[1:], strict=False):
        tracks.describe(np.zeros((*before.shape, CHANNELS), np.float32))
        field = flow.compute("dis", before, after)
        tracks.move(field, field)
    path = tracks.take_finished().path
    assert len(path) > 50
    # Behind the border there is nothing to see.
    inside = np.all((path > 12) & (path < (115, 83)), axis=(1, 2))
    error = np.abs(np.diff(path[inside], axis=1) - step)
    assert inside.sum() > 20
    assert error.mean() < 0.1
    assert error.max() < 0.3


def test_tracks_that_leave_are_forgotten():
    tracks = Tracks(3)
    tracks.add(np.array([[5.0, 5.0], [38.0, 5.0]], np.float32))
    field = np.zeros((40, 40, 2), np.float32)
    field[..., 0] = 1.0
    sums = np.ones((40, 40, CHANNELS), np.float32)
    for _ in range(3):
        tracks.describe(sums)
        tracks.move(field, 0.5 * field)
    done = tracks.take_finished()
    np.testing.assert_allclose(done.path[0, :, 0], [5, 6, 7, 8])
    np.testing.assert_allclose(done.moves[0], [[0.5, 0]] * 3)
    np.testing.assert_array_equal(done.volume, np.ones((1, 3, 2, 2, CHANNELS)))
    assert len(done.path) == 1 and not len(tracks.points)


def path_of(steps):
    start = np.zeros((1, 2))
    return np.concatenate([start, np.cumsum(steps, axis=0)])[None].astype(np.float32)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([(1.0, 0.5)] * 15, True),
        ([(0.0, 0.0)] * 15, False),  # static
        ([(0.1, 0.1)] * 15, False),  # hardly moves
        ([(15.0, 0.0)] * 15, False),  # spreads too far
        ([(0.5, 0.0)] * 14 + [(30.0, 0.0)], False),  # one leap
    ],
)
def test_static_and_erratic_trajectories_are_dropped(steps, kept):
    moves = np.array([steps], np.float32)
    assert is_kept(path_of(steps), moves).tolist() == [kept]


def test_what_moves_as_the_camera_is_dropped():
    steps = [(2.0, 0.0)] * 15
    slow = np.full((1, 15, 2), 0.6, np.float32)
    assert not is_kept(path_of(steps), slow)[0]
    slow[0, 7] = 0.9, 0.9  # longer than a pixel
    assert is_kept(path_of(steps), slow)[0]


def test_shape_is_the_displacements_over_their_lengths():
    moves = np.array([[(3.0, 4.0), (0.0, -5.0)]], np.float32)
    np.testing.assert_allclose(shape_descriptor(moves), [[0.3, 0.4, 0.0, -0.5]])
