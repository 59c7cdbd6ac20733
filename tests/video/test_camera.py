"""Warped presets see what moves against the camera, and only that."""

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stfn_keras.video import camera, flow

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 144, 192
WARPED = ("warped_dis", "warped_dis_fine", "warped_tvl1_fast", "warped_deepflow")


def scenery(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0) + 2 * cv2.GaussianBlur(
        noise, (0, 0), 6.0
    )
    return np.clip(128 + 90 * smooth / smooth.std() / 2, 0, 255).astype(np.uint8)


def filmed(
    pan: tuple[int, int] = (0, 0), own: tuple[int, int] = (0, 0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two frames of a background and a square before it; where the square is first.

    Args:
        pan: How the background moves in the frame, in pixels right and down.
        own: How the square moves against the background.
    """
    wide, thing = scenery(1, 240, 300), scenery(2, 40, 40)
    frames = []
    for time in (0, 1):
        x, y = (50 - time * shift for shift in pan)
        frame = wide[y : y + HEIGHT, x : x + WIDTH].copy()
        x, y = (60 + time * (pan[k] + own[k]) for k in (0, 1))
        frame[y : y + 40, x : x + 40] = thing
        frames.append(frame)
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[60:100, 60:100] = True
    return frames[0], frames[1], square


def inside(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), np.ones((17, 17))) > 0


@pytest.mark.parametrize("preset", WARPED)
def test_camera_motion_is_removed_and_the_squares_own_stays(preset):
    first, second, square = filmed(pan=(7, -3), own=(-4, 4))
    plain = flow.compute(preset.removeprefix("warped_"), first, second)
    warped = flow.compute(preset, first, second)
    assert warped.dtype == np.float32
    assert warped.shape == (HEIGHT, WIDTH, 2)
    background, thing = inside(~square), inside(square)
    np.testing.assert_allclose(np.median(plain[background], 0), (7, -3), atol=0.1)
    np.testing.assert_allclose(np.median(plain[thing], 0), (3, 1), atol=0.2)
    assert np.abs(np.median(warped[background], 0)).max() < 0.05
    assert np.hypot(*warped[background].T).mean() < 0.15
    np.testing.assert_allclose(np.median(warped[thing], 0), (-4, 4), atol=0.2)


def test_where_the_warp_leaves_no_data_there_is_no_motion():
    first, second, _ = filmed(pan=(9, 0))
    warped = flow.compute("warped_dis", first, second)
    # What leaves the picture on the right is not in the second frame.
    assert (warped[:, -8:] == 0).all()
    _, seen = camera.align(first, second)
    assert not seen[:, -8:].any()
    assert seen[:, :-10].all()


@pytest.mark.parametrize("preset", WARPED)
def test_still_camera_changes_nothing(preset):
    first, second, _ = filmed(own=(3, 2))
    plain = flow.compute(preset.removeprefix("warped_"), first, second)
    np.testing.assert_array_equal(flow.compute(preset, first, second), plain)


def test_still_and_noisy_camera_is_nearly_plain():
    first, second, _ = filmed(own=(3, 2))
    draws = np.random.default_rng(4)
    first, second = (
        np.clip(f + draws.normal(0, 3, f.shape), 0, 255).astype(np.uint8)
        for f in (first, second)
    )
    plain = flow.compute("dis", first, second)
    warped = flow.compute("warped_dis", first, second)
    assert np.abs(warped - plain).mean() < 0.05


@pytest.mark.parametrize(
    "frame",
    [
        np.full((64, 80), 90, np.uint8),  # no key points
        np.tile(np.arange(80, dtype=np.uint8), (64, 1)),
        scenery(5, 24, 32),  # too small for enough of them
    ],
)
def test_too_few_points_mean_plain_flow(frame):
    other = np.roll(frame, 2, 1)
    assert camera.align(frame, other) is None
    np.testing.assert_array_equal(
        flow.compute("warped_dis", frame, other), flow.compute("dis", frame, other)
    )


def test_frames_of_different_things_mean_plain_flow():
    first, second = scenery(6, HEIGHT, WIDTH), scenery(7, HEIGHT, WIDTH)
    np.testing.assert_array_equal(
        flow.compute("warped_dis", first, second), flow.compute("dis", first, second)
    )


def test_a_homography_that_makes_frames_no_more_alike_is_not_used(monkeypatch):
    """Guards against fits to a person's clothes, seen in real clips."""
    first, second, _ = filmed(own=(3, 2))
    step = np.array([[1, 0, 5], [0, 1, 0], [0, 0, 1]], float)
    monkeypatch.setattr(camera, "camera_motion", lambda *frames: step)
    assert camera.align(first, second) is None


def test_implausible_homographies_are_refused():
    def plausible(*rows):
        return camera.is_plausible(np.array(rows, float), 240, 320)

    assert plausible([1, 0, 12], [0, 1, -7], [0, 0, 1])
    assert plausible([1.1, 0.02, 0], [-0.02, 1.1, 0], [1e-5, 0, 1])
    assert not plausible([1, 0, 0], [0, 1, 0], [0, 0, 1])  # stands still
    assert not plausible([1, 0, 0.05], [0, 1, 0], [0, 0, 1])
    assert not plausible([-1, 0, 319], [0, 1, 0], [0, 0, 1])  # mirrored
    assert not plausible([1, 0, 200], [0, 1, 0], [0, 0, 1])  # beyond half a side
    assert not plausible([1.6, 0, -96], [0, 1.6, -72], [0, 0, 1])  # scaled too much
    assert not plausible([0.6, 0, 64], [0, 0.6, 48], [0, 0, 1])
    assert not plausible([1, 0, 0], [0, 1, 0], [-1 / 160, 0, 1])  # folded
    assert not plausible([np.nan, 0, 0], [0, 1, 0], [0, 0, 1])


def test_camera_motion_is_found_to_a_small_part_of_a_pixel():
    wide = scenery(8, 300, 400)
    step = np.array([[1.01, 0.02, -3.3], [-0.02, 1.01, 2.6], [2e-5, -1e-5, 1]])
    moved = cv2.warpPerspective(wide, step, (400, 300), flags=cv2.INTER_CUBIC)
    centre = np.s_[60:240, 80:320]
    back = np.array([[1, 0, 80], [0, 1, 60], [0, 0, 1]], float)
    truth = np.linalg.inv(back) @ step @ back
    found = camera.camera_motion(wide[centre].copy(), moved[centre].copy())
    corners = np.array([[[0, 0], [239, 0], [239, 179], [0, 179]]], float)
    np.testing.assert_allclose(
        cv2.perspectiveTransform(corners, found),
        cv2.perspectiveTransform(corners, truth),
        atol=0.15,
    )


def test_result_depends_on_the_two_frames_alone():
    """Guards against OpenCV's global draws, and against what was computed before."""
    first, second, _ = filmed(pan=(7, -3), own=(-4, 4))
    expected = flow.compute("warped_dis", first, second).tobytes()
    for seed in range(3):
        cv2.setRNGSeed(seed)
        flow.compute("warped_dis", *filmed(pan=(-2 - seed, 5))[:2])
        assert flow.compute("warped_dis", first, second).tobytes() == expected
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        assert flow.compute("warped_dis", first, second).tobytes() == expected
    finally:
        cv2.setNumThreads(threads)


def test_two_processes_agree(tmp_path):
    first, second, _ = filmed(pan=(7, -3), own=(-4, 4))
    np.save(tmp_path / "frames.npy", np.stack([first, second]))
    code = (
        "import sys, hashlib, numpy as np; from stfn_keras.video import flow; "
        "frames = np.load(sys.argv[1]); field = flow.compute('warped_dis', *frames); "
        "print(hashlib.sha256(field.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "frames.npy")]
    other = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    here = flow.compute("warped_dis", first, second)
    assert other.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


@pytest.mark.real
def test_a_real_pan_is_calmed_and_a_real_tripod_left_alone(real_data):
    import av

    def medians(name: str, skip: int) -> list[float]:
        with av.open(str(real_data / "UCF-101" / name)) as container:
            frames = [
                frame.to_ndarray(format="gray")
                for frame, _ in zip(
                    container.decode(video=0), range(skip + 2), strict=False
                )
            ][-2:]
        fields = (flow.compute(preset, *frames) for preset in ("dis", "warped_dis"))
        return [float(np.median(np.hypot(f[..., 0], f[..., 1]))) for f in fields]

    plain, warped = medians("PushUps/v_PushUps_g18_c02.avi", 0)
    assert plain > 0.8
    assert warped < plain / 2
    plain, warped = medians("WallPushups/v_WallPushups_g01_c01.avi", 24)
    assert warped == plain
