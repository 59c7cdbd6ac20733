"""`inspect` says what a dataset holds, and draws it without touching it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_dataset import rewrite, write_dataset

from data_prep.checking import contact_sheet, facts, look
from data_prep.checking.flow_statistics import FlowHistogram, FlowStatistics
from data_prep.checking.stored import read_videos
from stfn_keras.data.index import Indexed, read_index, write_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.remote import CacheConfig, mirror
from stfn_keras.errors import UserError
from stfn_keras.video import flow, image

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=["snippet", "dense"])
def folder(request, tmp_path_factory) -> Path:
    """Two flow fields: 3.15 pixels to the right, and one that is at its bound."""
    codes = {"dis": (148, 128), "tvl1": (128, 255)}
    path = tmp_path_factory.mktemp(request.param) / "small"
    return write_dataset(path, request.param, codes=codes)


@pytest.fixture(scope="module")
def videos(folder):
    return list(read_videos(folder, Manifest.load(folder), read_index(folder)))


def inspect(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    code = "from data_prep.checking import look; look.run()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True,
        text=True, timeout=120, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip


def test_facts_of_a_dataset(folder):
    manifest, rows = Manifest.load(folder), read_index(folder)
    lines = facts.dataset_facts(folder, manifest, rows, read_ledger(folder))
    text = "\n".join(lines)
    assert f"{folder}: 8 videos of 2 classes in 4 shards" in lines[0]
    assert "1 in the ledger (damaged (1)), 3 listed but absent" in text
    assert "csv, 2 splits" in text
    assert "frames      6 to 6, median 6, 48 in all" in text
    assert "seconds     0.2 to 0.2, median 0.2" in text
    assert "stored as   28x20 (8)" in text
    assert "tvl1: version 1, OpenCV 5, bound 20 pixels per frame" in text
    table = [line.split() for line in lines[-4:]]
    words = "class train 1 test 1 validation 1 train 2 test 2 unused 2"
    assert table == [
        words.split(),
        ["fall", *"121211"],
        ["wälk", *"121211"],
        ["total", *"242422"],
    ]


def test_facts_of_kept_and_unknown(folder):
    """Guards against a division by a rate of zero."""
    manifest = Manifest.load(folder)
    row = Indexed("a.avi", "fall", "", "rr", "s", 0, 9, 0.0, 20, 28, errors=3)
    text = "\n".join(facts.dataset_facts(folder, manifest, [row], []))
    assert "damaged     1 video kept, with 3 decoding errors" in text
    assert "rate unknown for 1 video" in text
    assert "seconds" not in text
    empty = facts.dataset_facts(folder, manifest, [], [])
    assert "0 in the ledger, 3 listed" in "\n".join(empty)


def test_flow_statistics_of_a_dataset(videos):
    found = look.flow_statistics(videos)
    speed = 20 * 20 / 127
    assert found["dis"].pairs == 8 * 3 * 2
    assert found["dis"].mean == pytest.approx(speed)
    assert found["dis"].fast == pytest.approx(speed)
    assert (found["dis"].zero, found["dis"].saturated) == (0, 0)
    assert found["tvl1"].mean == pytest.approx(20)
    assert found["tvl1"].saturated == 1
    lines = facts.flow_facts(found, 8)
    assert "from 8 videos" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["dis", "tvl1", "warning:"]
    assert "tvl1: 100.0% of the vectors reach the bound" in lines[-1]


def test_flow_statistics_are_exact():
    """Against NumPy on the vectors themselves."""
    draws = np.random.default_rng(0)
    codes = draws.normal(128, 30, (5, 40, 50, 2)).clip(1, 255).astype(np.uint8)
    codes[:, :10] = 128
    histogram = FlowHistogram()
    for part in np.split(codes, 5):
        histogram.add(part)
    found = histogram.statistics(20.0)
    vectors = flow.dequantise(codes).astype(np.float64).reshape(-1, 2)
    speeds = np.hypot(*vectors.T)
    assert found.pairs == 5
    assert found.mean == pytest.approx(speeds.mean())
    assert found.fast == pytest.approx(
        np.quantile(speeds, 0.95, method="inverted_cdf"), rel=1e-6
    )
    assert found.zero == np.mean((codes == 128).all(-1))
    assert found.saturated == np.mean(((codes == 1) | (codes == 255)).any(-1))
    with pytest.raises(ValueError, match="Received: none"):
        FlowHistogram().statistics(20.0)


@pytest.mark.parametrize(
    ("zero", "saturated", "words"),
    [(0.5, 0.01, []), (0.5, 0.011, ["cut off"]), (0.995, 0.0, ["still pictures"])],
)
def test_suspicious_flow(zero, saturated, words):
    found = FlowStatistics(10, 1.0, 2.0, zero, saturated).warnings()
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_both_layouts_give_the_same_snippets(tmp_path):
    """The dense layout holds every frame and pair; a snippet is cut out of them."""
    found = []
    for layout in ("snippet", "dense"):
        folder = write_dataset(tmp_path / layout, layout)
        rows = read_index(folder)
        found.append(list(read_videos(folder, Manifest.load(folder), rows)))
    for one, other in zip(*found, strict=True):
        for k in range(3):
            np.testing.assert_array_equal(one.frame(k), other.frame(k))
            assert one.codes("dis", k).shape == (2, 20, 28, 2)
            np.testing.assert_array_equal(one.codes("dis", k), other.codes("dis", k))


def test_a_sample_has_as_many_classes_as_possible():
    rows = [
        Indexed(f"{c}{i}", c, "", "r", "s", i, 9, 25.0, 20, 28)
        for c, count in (("a", 50), ("b", 3), ("c", 1))
        for i in range(count)
    ]
    drawn = look.draw_sample(rows, 6, seed=1)
    labels = [row.label for row in drawn]
    assert labels in ([*"aaabbc"], [*"aabbbc"])  # the classes' order is drawn
    assert drawn == look.draw_sample(rows, 6, seed=1)
    assert drawn != look.draw_sample(rows, 6, seed=2)
    assert len({row.path for row in look.draw_sample(rows, 99, seed=0)}) == 54
    assert {row.label for row in look.draw_sample(rows, 3, seed=3)} == {"a", "b", "c"}


def test_a_video_is_found_by_a_part_of_its_name(folder):
    rows = read_index(folder)
    assert look.find_video(folder, rows[3].path) == rows[3]
    assert look.find_video(folder, "g3 c0") == rows[6]
    with pytest.raises(UserError, match="which 8 videos have: .*, ...$"):
        look.find_video(folder, "avi")
    with pytest.raises(UserError, match="which no video in .* has; videos.csv lists"):
        look.find_video(folder, "g9")


def test_a_whole_id_wins_over_a_part(tmp_path):
    rows = [
        Indexed(name, "a", "", "r", "s", i, 9, 25.0, 20, 28)
        for i, name in enumerate(("xa.avi", "a.avi", "a.avi.avi"))
    ]
    write_index(tmp_path, rows)
    assert look.find_video(tmp_path, "a.avi") == rows[1]


def test_a_message_has_the_address_not_the_cache(tmp_path):
    folder = write_dataset(tmp_path / "far")
    mirrored = mirror(f"file://{folder}", CacheConfig(str(tmp_path / "cache")))
    with pytest.raises(UserError, match=f"no video in file://{folder} has"):
        look.find_video(mirrored, "g9")


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("Walk/a.mp4", "a"),
        ("Walk/a.mp4#t=1.5,3", "a#t=1.5,3"),
        ("Walk/a.b.mp4#t=1,1.25", "a.b#t=1,1.25"),
        ("#t=1,2/a.mp4", "a"),
        ("x#t=1,2.mp4", "x#t=1,2.mp4"),
        ("frames/a", "a"),
        ("n" * 99 + ".mp4#t=1.5,3", "n" * 52 + "#t=1.5,3"),
    ],
)
def test_the_sheet_of_a_segment_says_which(path, stem):
    assert look.stem(path) == stem


def test_no_file_is_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    assert look.sheet_path(data, "") == Path("data.png")
    Path("data.png").touch()
    Path("data-2.png").touch()
    assert look.sheet_path(data, "") == Path("data-3.png")
    assert look.sheet_path(data, "", "a\nb" + "c" * 300).name.startswith("data-a\ufffd")
    assert look.sheet_path(data, "x.png") == Path("x.png")
    with pytest.raises(UserError, match="which exists"):
        look.sheet_path(data, "data.png")
    with pytest.raises(UserError, match=r"must be a \.png file"):
        look.sheet_path(data, "x.jpg")
    with pytest.raises(UserError, match="outside the dataset"):
        look.sheet_path(data, "data/x.png")
    monkeypatch.chdir(data)
    with pytest.raises(UserError, match="outside the dataset"):
        look.sheet_path(Path(), "")


def colours(path: Path) -> np.ndarray:
    """RGB of a PNG, (height, width, 3)."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def holds(sheet: np.ndarray, colour: np.ndarray, pixels: int) -> bool:
    """Whether that many pixels have the colour, up to rounding."""
    near = np.abs(sheet.astype(int) - colour).max(-1) <= 2
    return int(near.sum()) >= pixels


@pytest.mark.parametrize("name", [(), ("g3 c0",)])
def test_the_command_draws_and_changes_nothing(folder, tmp_path, name):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = inspect(str(folder), *name, "--out=sheet.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\nsheet: sheet.png\n")
    assert "warning: tvl1" in done.stdout
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    sheet = colours(tmp_path / "sheet.png")
    for u, v in ((148, 128), (128, 255)):
        patch = np.full((1, 1, 2), (u, v), np.uint8)
        painted = flow.colour(patch, full=20.0)[0, 0]
        assert holds(sheet, painted, pixels=10_000)
    again = inspect(str(folder), *name, "--out=sheet.png", cwd=tmp_path)
    assert again.returncode == 1
    assert "which exists" in again.stderr


def test_the_sheet_shows_the_frames(folder, videos, tmp_path):
    """Guards against pictures that are upside down or mixed up."""
    contact_sheet.draw_video(videos[0], tmp_path / "sheet.png")
    sheet = colours(tmp_path / "sheet.png")
    for snippet in range(3):
        frame = videos[0].frame(snippet)
        scale = 232 / frame.shape[1]
        shown = cv2.resize(frame, (232, round(frame.shape[0] * scale)))
        match = cv2.matchTemplate(sheet, shown, cv2.TM_SQDIFF)
        _, _, (x, _), _ = cv2.minMaxLoc(match)
        assert match.min() < 1e-3 * match.mean()
        assert x == 28 + snippet * (232 + 10)


def test_names_that_no_font_has(folder, tmp_path, videos):
    """Guards against fonts and terminals that refuse a name."""
    row = dataclasses.replace(
        videos[0].row, path="\u884c/$a_{b}\n\udcff\u6b65" + "n" * 200 + ".avi",
        label="\u884c$x", rate=0.0,
    )  # fmt: skip
    odd = dataclasses.replace(videos[0], row=row)
    assert facts.video_facts(odd)[0].startswith("\u884c/$a_{b}\ufffd\ufffd\u6b65n")
    "\n".join(facts.video_facts(odd)).encode()
    contact_sheet.draw_video(odd, tmp_path / "one.png")
    contact_sheet.draw_dataset(folder, odd.manifest, [odd], tmp_path / "all.png")


@pytest.mark.parametrize("size", [(16, 400), (400, 16)])
def test_any_shape_fits(tmp_path, folder, size):
    (video,) = read_videos(folder, Manifest.load(folder), read_index(folder)[:1])
    dense = video.manifest.layout == "dense"
    jpeg = image.encode_rgb(np.zeros((*size, 3), np.uint8))
    mosaic = image.encode_flow(np.full((1 if dense else 2, *size, 2), 128, np.uint8))
    example = {
        key: [jpeg if "rgb" in key else mosaic] * len(values)
        if isinstance(values[0], bytes) and "video" not in key
        else values
        for key, values in video.example.items()
    }
    row = dataclasses.replace(video.row, height=size[0], width=size[1])
    video = dataclasses.replace(video, row=row, example=example)
    contact_sheet.draw_video(video, tmp_path / "sheet.png")
    assert max(colours(tmp_path / "sheet.png").shape) < 4000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Received: nothing"),
        (("a", "b", "c"), "Received: a b c"),
        (("nowhere",), "nowhere must be a dataset"),
        (("x", "--rows=0"), "--rows must be 1 or more"),
        (("x", "--rows=25"), "--rows must be 24 or less"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, words):
    done = inspect(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_shard_is_named(tmp_path):
    folder = write_dataset(tmp_path / "data")
    rows = read_index(folder)
    path = folder / rows[0].shard
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path.name}: record 0: its data are cut"):
        list(read_videos(folder, Manifest.load(folder), rows))
    path.unlink()
    with pytest.raises(UserError, match=path.name):
        list(read_videos(folder, Manifest.load(folder), rows))


def foreign(height: int, width: int) -> bytes:
    return image.encode_rgb(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("snippet/rgb", [b"text"] * 3, "expected a JPEG. Received 4 bytes"),
        ("snippet/rgb", [foreign(28, 20)] * 3, r"expected a frame of \(20, 28, 3\)"),
        ("snippet/rgb", [], "out of range"),
        ("snippet/rgb", [1, 2, 3], "bytes-like"),
        ("flow/dis", [foreign(48, 60)] * 3, "expected a mosaic of flow tiles"),
        ("flow/dis", [foreign(24, 64)] * 3, r"flow dis of \(2, 20, 28, 2\)"),
        ("flow/dis", None, "its record has no 'flow/dis'"),
    ],
)
def test_a_record_that_contradicts_the_tables_is_named(tmp_path, key, value, words):
    folder = write_dataset(tmp_path / "data")

    def change(examples):
        examples[1].update({key: value})
        if value is None:
            del examples[1][key]

    shard = rewrite(folder, change)
    (row,) = (r for r in read_index(folder) if (r.shard, r.record) == (shard, 1))
    (video,) = read_videos(folder, Manifest.load(folder), [row])
    with pytest.raises(UserError, match=words) as caught:
        look.flow_statistics([video])
        video.frame(0)
    said = str(caught.value)
    assert said.startswith(f"{shard}: record 1: {row.path!r}: ")
    assert len(said.splitlines()) == 1


def test_an_index_of_another_size_is_one_line(tmp_path):
    folder = write_dataset(tmp_path / "data")
    rows = read_index(folder)
    write_index(folder, [dataclasses.replace(row, height=0) for row in rows])
    done = inspect(str(folder), cwd=tmp_path)
    assert done.returncode == 1
    assert rows[0].shard in done.stderr
    assert len(done.stderr.splitlines()) == 1
