"""The demo set: UCF101's layout on disk, and classes that differ as they claim."""

import collections
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from data_prep.demo import demo_clips
from data_prep.demo.demo_render import render as render_frames
from data_prep.demo.demo_scenes import (
    CLASSES,
    HALVES,
    HEIGHT,
    MARGIN,
    SNIPPET,
    WIDTH,
    draw_scene,
    track,
)
from stfn_keras.errors import UserError

MOTION_CLASSES = ("SlideDisc", "Bounce", "Pulse", "Spin")
ROOT = Path(__file__).parents[3]
ORDER_CLASSES = ("RiseThenFall", "FallThenRise")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "clips"
    demo_clips.render(out, groups=3, clips=1, seed=0)
    return out


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return np.stack(frames)


def clip_path(out: Path, label: str, group: int = 1, clip: int = 1) -> Path:
    return out / "videos" / label / f"v_{label}_g{group:02d}_c{clip:02d}.avi"


def contents(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def windows(frames: list[np.ndarray]) -> collections.Counter:
    """Multiset of all snippets, from every start, not only the sampled ones."""
    starts = range(len(frames) - SNIPPET + 1)
    return collections.Counter(
        hash(np.stack(frames[i : i + SNIPPET]).tobytes()) for i in starts
    )


# The scenes.


def test_every_class_films_the_same_scene():
    scene = draw_scene(0, 2, 1)
    first = {label: next(render_frames(scene, label)) for label in CLASSES}
    # The lower corners are background in every class; jitter and noise agree too.
    for frame in first.values():
        np.testing.assert_array_equal(frame[:8, :16], first["Spin"][:8, :16])
    for label, (_, shape) in CLASSES.items():
        assert track(scene, label).shape == (shape or scene.shape)


def test_shapes_and_senses_of_rotation_all_occur():
    scenes = [draw_scene(0, group, 1) for group in range(1, 40)]
    assert {s.shape for s in scenes} == {"disc", "square", "triangle"}
    assert {s.half for s in scenes} == set(HALVES)
    assert {np.sign(s.spin) for s in scenes} == {-1.0, 1.0}


def test_a_moving_clock_has_the_law_of_a_still_one():
    """At any instant, states of all motion classes have one distribution."""
    scenes = [draw_scene(1, group, 1) for group in range(1, 601)]
    quantiles = np.linspace(0.05, 0.95, 19)
    for name, label in (("x", "SlideDisc"), ("y", "Bounce"), ("radius", "Pulse")):
        for t in (0, 7, 40):
            moving = [getattr(track(s, label), name)[t] for s in scenes]
            still = [getattr(track(s, "Spin"), name)[t] for s in scenes]
            spread = np.ptp(still)
            gap = np.quantile(moving, quantiles) - np.quantile(still, quantiles)
            assert np.abs(gap).max() < 0.1 * spread, (name, t)


@pytest.mark.parametrize("label", MOTION_CLASSES)
def test_only_one_clock_runs(label):
    path = track(draw_scene(0, 1, 1), label)
    running = {n for n in ("x", "y", "radius", "angle") if np.ptp(getattr(path, n)) > 0}
    expected = {"slide": "x", "bounce": "y", "pulse": "radius", "spin": "angle"}
    assert running == {expected[CLASSES[label][0]]}


# The order classes.


@pytest.mark.parametrize("group", range(1, 9))
def test_order_classes_are_one_another_with_halves_exchanged(group):
    scene = draw_scene(0, group, 1)
    rise_first, fall_first = (track(scene, label) for label in ORDER_CLASSES)
    for name in ("x", "y", "radius", "angle"):
        np.testing.assert_array_equal(
            np.roll(getattr(rise_first, name), scene.half), getattr(fall_first, name)
        )
    first_half = np.diff(rise_first.y)[: scene.half - 1]
    assert first_half.min() < -3 and first_half.max() <= 0  # up: y falls
    second_half = np.diff(rise_first.y)[scene.half :]
    assert second_half.max() > 3 and second_half.min() >= 0


@pytest.mark.parametrize("group", range(1, 4))
def test_order_classes_hold_the_same_snippets(group):
    """Guards against an order that a single frame or a single snippet gives away."""
    scene = draw_scene(0, group, 1)
    rise_first, fall_first = (list(render_frames(scene, n)) for n in ORDER_CLASSES)
    assert not np.array_equal(rise_first, fall_first)
    assert windows(rise_first) == windows(fall_first)


def test_no_snippet_holds_both_motions_and_the_pause_is_longer():
    for group in range(1, 50):
        scene = draw_scene(0, group, 1)
        for label in ORDER_CLASSES:
            hidden = track(scene, label).hidden
            half = scene.half
            assert hidden[:MARGIN].all() and hidden[-MARGIN:].all()
            assert hidden[half - MARGIN : half + MARGIN].all()
            assert 2 * MARGIN > SNIPPET
            assert (~hidden[:half]).sum() >= 12 and (~hidden[half:]).sum() >= 12


def test_order_survives_the_codec_unchanged(demo):
    """Guards against key frames or rate control that tell the classes apart."""
    rise_first, fall_first = (decode(clip_path(demo, n)) for n in ORDER_CLASSES)
    np.testing.assert_array_equal(
        np.roll(rise_first, len(rise_first) // 2, axis=0), fall_first
    )


# The files.


def test_files_are_xvid_avi_of_the_rendered_frames(demo):
    scene = draw_scene(0, 1, 1)
    with av.open(str(clip_path(demo, "Spin"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.codec_tag) == (
            "mpeg4",
            "XVID",
        )
        assert stream.average_rate == 25
        assert stream.frames == 2 * scene.half
    decoded = decode(clip_path(demo, "Spin"))
    rendered = np.stack(list(render_frames(scene, "Spin")))
    assert decoded.shape == rendered.shape == (2 * scene.half, HEIGHT, WIDTH, 3)
    # Chroma at half resolution costs some levels at the object's edges.
    assert np.abs(decoded.astype(int) - rendered.astype(int)).mean() < 8


def test_lists_are_ucf101s_and_keep_groups_apart(demo):
    rows = (demo / "splits/classInd.txt").read_text().splitlines()
    numbers = {name: int(number) for number, name in map(str.split, rows)}
    assert list(numbers) == sorted(CLASSES)
    assert list(numbers.values()) == list(range(1, len(CLASSES) + 1))
    videos = demo / "videos"
    names = {p.relative_to(videos).as_posix() for p in videos.rglob("*.avi")}
    assert len(names) == 3 * len(CLASSES)
    tested = []
    for split in ("01", "02", "03"):
        test = (demo / f"splits/testlist{split}.txt").read_text().splitlines()
        train = (demo / f"splits/trainlist{split}.txt").read_text().splitlines()
        pairs = [row.split() for row in train]
        assert all(numbers[name.split("/")[0]] == int(n) for name, n in pairs)
        assert sorted([name for name, _ in pairs] + test) == sorted(names)
        groups = [
            {re.search(r"_g(\d\d)_", name)[1] for name in side}
            for side in ([name for name, _ in pairs], test)
        ]
        assert groups[0] and groups[1] and not groups[0] & groups[1]
        tested += test
    assert sorted(tested) == sorted(names)


def test_another_seed_is_another_set():
    scenes = draw_scene(0, 1, 1), draw_scene(1, 1, 1)
    first, second = (next(render_frames(scene, "Spin")) for scene in scenes)
    assert not np.array_equal(first, second)


def test_a_finished_set_is_left_as_it_is(demo, capsys, monkeypatch):
    monkeypatch.setattr(demo_clips, "write_avi", None)  # any rendering fails
    before = contents(demo)
    demo_clips.render(demo, groups=3, clips=1, seed=0)
    assert "nothing to do" in capsys.readouterr().out
    assert contents(demo) == before


def test_an_interrupted_set_is_mended(demo):
    before = contents(demo)
    marker = demo / demo_clips.MARKER
    marker.write_text(marker.read_text().replace("true", "false"))
    clip_path(demo, "Pulse").write_bytes(b"cut short")
    clip_path(demo, "Spin").unlink()
    demo_clips.render(demo, groups=3, clips=1, seed=0)
    assert contents(demo) == before


def test_a_set_that_lost_a_file_is_not_finished(demo):
    before = contents(demo)
    clip_path(demo, "Spin").unlink()
    demo_clips.render(demo, groups=3, clips=1, seed=0)
    assert contents(demo) == before


def test_command_line_renders_the_same_bytes(demo, tmp_path):
    out = tmp_path / "out"
    done = command(f"--out={out}", "--groups=3", "--clips=1")
    assert done.returncode == 0, done.stderr
    assert "24 demo clips of 8 classes" in done.stdout
    assert contents(out) == contents(demo)


def command(*arguments: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "data_prep", "demo-clips", *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


# Bad input.


def test_a_folder_that_is_not_ours_is_refused_untouched(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="other files"):
        demo_clips.render(tmp_path, groups=3, clips=1)
    with pytest.raises(UserError, match="must be a folder"):
        demo_clips.render(tmp_path / "mine.txt", groups=3, clips=1)
    assert contents(tmp_path) == {"mine.txt": b"keep"}


def test_other_settings_or_a_damaged_marker_are_refused_untouched(tmp_path):
    marker = tmp_path / demo_clips.MARKER
    for text in ('{"version": 1, "groups": 9, "clips": 3, "seed": 0}', "{", "[]"):
        marker.write_text(text)
        with pytest.raises(UserError, match="same settings|settings of demo clips"):
            demo_clips.render(tmp_path, groups=3, clips=1, seed=5)
        assert contents(tmp_path) == {marker.name: text.encode()}


@pytest.mark.parametrize(
    "counts", [{"groups": 2}, {"groups": 100}, {"clips": 0}, {"seed": -1}]
)
def test_counts_out_of_range_are_refused(counts, tmp_path):
    with pytest.raises(UserError, match=f"--{next(iter(counts))}"):
        demo_clips.render(tmp_path / "out", **counts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["--groups=2", "--out=x"], ["a", "--out=x"]])
def test_command_line_errors_are_one_line(arguments):
    failed = command(*arguments)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
    assert not (ROOT / "x").exists()
