"""The benchmark's truth is true, and its measures are those it names."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.bench import flow_bench
from data_prep.bench.flow_bench import BenchConfig, Clip, as_csv, as_markdown, measure
from data_prep.bench.flow_scenes import Scene, make_scenes
from stfn_keras.errors import UserError

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT = 128, 96
SCENES = {scene.name: scene for scene in make_scenes(WIDTH, HEIGHT)}
NAMES = ("subpixel", "5 px", "15 px", "rotation", "zoom", "occlusion", "pan", "faint")


def by_truth(scene: Scene, time: int) -> tuple[np.ndarray, np.ndarray]:
    """The next frame, sampled where the truth says, and where it can be."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    place = np.stack([x, y], axis=-1) + scene.motion(time)
    found = cv2.remap(
        scene.render(time + 1), place.astype(np.float32), None, cv2.INTER_CUBIC
    )
    inside = (place >= 2).all(-1) & (place <= (WIDTH - 3, HEIGHT - 3)).all(-1)
    return found, inside & ~scene.boundary(time)


def test_there_are_the_eight_sequences():
    assert tuple(SCENES) == NAMES
    assert [s.name for s in make_scenes(340, 256)] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("time", [0, 2])
def test_the_next_frame_warped_back_by_the_truth_is_the_frame(name, time):
    scene = SCENES[name]
    found, valid = by_truth(scene, time)
    frame = scene.render(time)
    assert valid.mean() > 0.4
    difference = np.abs(found.astype(float) - frame)[valid]
    # Rounding to grey levels and interpolation, or the noise of two frames.
    assert difference.mean() < (3.0 if scene.noise else 1.0)
    still = np.abs(scene.render(time + 1).astype(float) - frame)[valid]
    if name != "faint":
        assert difference.mean() < still.mean() / 5


@pytest.mark.parametrize("name", NAMES)
def test_motion_is_what_the_name_says(name):
    speed = np.linalg.norm(SCENES[name].motion(0), axis=-1)
    expected = {"subpixel": 0.5, "5 px": 5.0, "15 px": 15.0}
    if name in expected:
        np.testing.assert_allclose(speed, expected[name])
    elif name == "faint":
        assert 0 < speed.max() < 1
        assert SCENES[name].render(0).std() < 15
    else:
        assert speed.max() > 1.5


@pytest.mark.parametrize("name", NAMES)
def test_the_residual_is_the_front_layers_own_motion(name):
    scene = SCENES[name]
    residual = scene.motion(1, residual=True)
    front = scene.front(1) > 0
    np.testing.assert_allclose(residual[~front], 0, atol=1e-9)
    assert front.any() == (name in ("occlusion", "pan"))
    if name == "occlusion":
        np.testing.assert_allclose(residual[front], [[-7, 2]] * front.sum(), atol=1e-9)


def test_the_residual_fits_the_next_frame_warped_back():
    """Laid over the previous frame by the camera's motion, the rest is the residual."""
    scene = SCENES["pan"]
    inverse = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    still = cv2.warpPerspective(
        scene.render(1), scene.layers[0].step, (WIDTH, HEIGHT), flags=inverse
    )
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    place = np.stack([x, y], axis=-1) + scene.motion(0, residual=True)
    found = cv2.remap(still, place.astype(np.float32), None, cv2.INTER_CUBIC)
    _, valid = by_truth(scene, 0)
    difference = np.abs(found.astype(float) - scene.render(0))[valid]
    assert difference.mean() < 1.0


def test_boundaries_are_where_layers_meet():
    assert not SCENES["5 px"].boundary(0).any()
    scene = SCENES["occlusion"]
    front, boundary = scene.front(0), scene.boundary(0)
    assert 0.02 < boundary.mean() < 0.4
    distance = [
        cv2.distanceTransform((front == side).astype(np.uint8), cv2.DIST_L2, 5)
        for side in (0, 1)
    ]
    to_edge = np.maximum(*distance)
    assert boundary[to_edge <= 4].all()
    assert not boundary[to_edge > 6].any()


def test_scenes_are_the_same_each_time():
    for scene in make_scenes(WIDTH, HEIGHT):
        np.testing.assert_array_equal(scene.render(1), SCENES[scene.name].render(1))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return flow_bench.render(BenchConfig(size="128x96", frames=1))


@pytest.mark.parametrize("preset", ["dis", "deepflow"])
def test_errors_on_translation_are_small(clips, preset):
    chosen = [clip for clip in clips if clip.scene.name in ("subpixel", "5 px")]
    result = measure(preset, chosen)
    assert result.preset == preset
    assert result.error < 0.2
    assert result.milliseconds > 0
    assert result.saturated == 0
    assert np.isnan(result.error_boundary)
    # Only the sub-pixel sequence has small motion.
    assert result.error_small == pytest.approx(result.by_scene["subpixel"])


def test_warped_presets_are_judged_by_the_residual(clips):
    chosen = [clip for clip in clips if clip.scene.name in ("5 px", "pan")]
    warped = measure("warped_dis", chosen)
    assert warped.error < measure("dis", chosen).error
    assert warped.by_scene["5 px"] < 0.05


def test_measures_are_what_they_are_called(clips, monkeypatch):
    """A flow of 30 px to the right, whatever the frames show."""
    clip = next(clip for clip in clips if clip.scene.name == "pan")
    field = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    field[..., 0] = 30.0
    monkeypatch.setattr(flow_bench.flow, "compute", lambda *_: field)
    calls = []
    result = measure("dis", [clip], lambda: calls.append(1))
    error = np.linalg.norm(field - clip.scene.motion(0), axis=-1)
    assert result.error == pytest.approx(error.mean())
    boundary = clip.scene.boundary(0)
    assert result.error_boundary == pytest.approx(error[boundary].mean())
    assert np.isnan(result.error_small)
    assert result.saturated == 1.0
    assert len(calls) == 1


def test_tables_hold_every_preset_and_sequence(clips):
    results = [measure("dis", clips), measure("warped_dis", clips)]
    text = as_markdown(results)
    assert "CPU ms per pair" in text
    assert all(name in text for name in NAMES)
    lines = text.splitlines()
    assert sum(line.startswith("| warped_dis ") for line in lines) == 2
    assert len({line.count("|") for line in lines[:4]}) == 1
    rows = list(csv.DictReader(as_csv(results).splitlines()))
    assert [row["preset"] for row in rows] == ["dis", "warped_dis"]
    assert float(rows[0]["error"]) == results[0].error
    assert float(rows[1]["occlusion"]) == results[1].by_scene["occlusion"]


@pytest.mark.parametrize(
    "size", ["340", "340x", "20x256", "ax b", "340x256x3", "-5x99"]
)
def test_senseless_sizes_are_refused(size):
    with pytest.raises(UserError, match="340x256"):
        BenchConfig(size=size)


def bench(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_prep.bench.flow_bench", *arguments]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment
    )


def test_command_prints_a_table_and_writes_it(tmp_path):
    path = tmp_path / "flow.csv"
    done = bench("--flow=dis,warped_dis", "--size=96x64", "--frames=1", f"--csv={path}")
    assert done.returncode == 0, done.stderr
    assert "8 sequences of 1 pairs, 96x64" in done.stdout
    assert "| warped_dis" in done.stdout
    assert "takes a second or two" not in done.stdout
    assert "16/16" in done.stderr  # the bar
    assert len(path.read_text().splitlines()) == 3


def test_command_refuses_an_unknown_preset():
    done = bench("--flow=farneback", "--size=96x64")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --flow must name presets among dis,")
    assert done.stderr.count("\n") == 1
