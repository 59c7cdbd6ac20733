import numpy as np
import pytest
from trajectories.rendered import panned, with_object, write

from stfn_keras.errors import UserError
from stfn_keras.trajectories.extractor import Extractor, describe_video
from stfn_keras.trajectories.motion import camera_step, without_camera
from stfn_keras.trajectories.settings import EncodingConfig, ExtractionConfig

SHAPE = 120, 160


def described(frames, seed=b"", **settings):
    config = ExtractionConfig(**{"scales": 1, **settings})
    extractor = Extractor(*frames[0].shape, config, seed)
    for frame in frames:
        extractor.add(frame)
    return extractor.descriptors()


@pytest.fixture(scope="module")
def pan():
    return panned(18, 2.0, 1.0, SHAPE)


@pytest.fixture(scope="module")
def pan_with_object(pan):
    return with_object(pan, -2.0, 0.0, (100, 40), 40)


@pytest.fixture(scope="module")
def found(pan_with_object):
    return described(pan_with_object)


def test_camera_motion_alone_leaves_almost_nothing(pan):
    followed = described(pan, camera=False)
    assert len(followed) > 500
    assert len(described(pan)) < 0.02 * len(followed)


def test_an_object_is_found_before_a_moving_background(found):
    assert len(found) > 20
    assert found.dtype == np.float16 and found.shape[1] == 30 + 96 + 108 + 96 + 96
    moves = found[:, :30].astype(float).reshape(-1, 15, 2).sum(axis=1)
    # Against the camera's (2, 1): it goes by (-4, -1).
    straight = np.median(moves, axis=0)
    np.testing.assert_allclose(straight, np.array([-4, -1]) / 17**0.5, atol=0.1)


def test_a_homography_is_taken_out_of_flow_at_every_scale():
    step = np.array([[1.01, 0.02, 3.0], [-0.015, 0.99, -2.0], [1e-5, 2e-5, 1.0]])
    for height, width in ((120, 160), (60, 80)):
        scale = 160 / width
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        whole = np.stack([x, y, np.ones_like(x)], -1) * [scale, scale, 1.0]
        whole[..., :2] += (scale - 1) / 2
        moved = whole @ step.T
        moved = moved[..., :2] / moved[..., 2:]
        field = ((moved - whole[..., :2]) / scale).astype(np.float32)
        assert abs(without_camera(field, step, (120, 160))).max() < 1e-3
        # An object's own step comes out on top, but for the camera's turn.
        own = without_camera(field + np.float32([3, 0]), step, (120, 160))
        np.testing.assert_allclose(own.mean(axis=(0, 1)), [3, 0], atol=0.1)
    assert without_camera(field, None, (120, 160)) is field


def test_the_cameras_step_is_found(pan):
    step = camera_step(pan[0], pan[1])
    middle = step @ (80, 60, 1)
    np.testing.assert_allclose(middle[:2] / middle[2], (82, 61), atol=0.1)
    assert camera_step(pan[0], pan[0]) is None


def test_at_most_so_many_are_kept_and_always_the_same(pan_with_object, found):
    few = described(pan_with_object, seed=b"a", max_trajectories=20)
    again = described(pan_with_object, seed=b"a", max_trajectories=20)
    other = described(pan_with_object, seed=b"b", max_trajectories=20)
    assert len(few) == 20
    np.testing.assert_array_equal(few, again)
    assert not np.array_equal(few, other)
    rows = {row.tobytes() for row in found}
    assert all(row.tobytes() in rows for row in (*few, *other))


@pytest.mark.parametrize("frames", [0, 1, 15])
def test_what_is_too_short_has_no_trajectories(pan, frames):
    extractor = Extractor(*SHAPE, ExtractionConfig(scales=1))
    for frame in pan[:frames]:
        extractor.add(frame)
    assert extractor.descriptors().shape == (0, 426)


def test_what_stands_still_or_is_tiny_has_no_trajectories(pan):
    assert not len(described([pan[0]] * 17))
    assert not len(described([np.zeros((40, 40), np.uint8)] * 17))
    assert not len(described([frame[:20, :20] for frame in pan]))


def test_a_skip_is_the_video_of_every_so_many_frames(tmp_path):
    frames = panned(35, 1.0, 0.5, (48, 64))
    config = ExtractionConfig(scales=1, camera=False)
    whole = write(tmp_path / "whole.mkv", frames)
    half = write(tmp_path / "half.mkv", frames[::2])
    found = describe_video(whole, config, (0, 1))
    expected = describe_video(half, config, (0,))
    assert len(expected[0]) > 20
    np.testing.assert_array_equal(found[1], expected[0])
    alone = describe_video(whole, config, (0,))
    np.testing.assert_array_equal(found[0], alone[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 16}, "--length must be a multiple of 3"),
        ({"flow": "warped_dis"}, "take dis"),
        ({"flow": "no"}, "--flow must name presets"),
        ({"max_trajectories": 0}, "--max_trajectories must be 1 or more"),
    ],
)
def test_bad_settings_of_an_extraction_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        ExtractionConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "hog"}, "--features must be one of idt, mifs"),
        ({"skips": (0, 0)}, "--skips must be different"),
        ({"skips": (-1,)}, "--skips must be different"),
        ({"cost": 0.0}, "--cost must be above 0"),
    ],
)
def test_bad_settings_of_an_encoding_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        EncodingConfig(**settings)
