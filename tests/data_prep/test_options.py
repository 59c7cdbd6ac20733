"""What the preparation's options do: layouts, sources, limits, and dry runs."""

import shutil
from pathlib import Path

import cv2
import faulty_decoders
import numpy as np
import pytest

from data_prep import __main__ as command
from data_prep.checking.verify import verify_dataset
from data_prep.estimate import duration, measure, size
from data_prep.plan import Configs, DatasetOptions
from data_prep.task import make_task
from stfn_keras.config import PreparationConfig
from stfn_keras.data.index import read_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError


def test_the_dense_layout(tmp_path, prepare, read_all):
    summary = prepare(tmp_path / "out", layout="dense", flow=("dis", "dis_fine"))
    assert (summary.videos, summary.bad) == (9, 1)
    assert Manifest.load(tmp_path / "out").layout == "dense"
    assert verify_dataset(tmp_path / "out") == []
    record = read_all(tmp_path / "out")[0]
    assert len(record["frame/rgb"]) == record["video/frames"][0] == 6
    assert len(record["frame/flow/dis"]) == len(record["frame/flow/dis_fine"]) == 5
    assert record["snippet/frame"] == [0, 2, 3]
    assert "snippet/rgb" not in record


def test_damaged_videos_may_be_kept(tmp_path, prepare):
    summary = prepare(tmp_path / "out", on_damaged="keep", min_fraction=0.4)
    assert (summary.videos, summary.bad, summary.kept) == (10, 0, 1)
    assert verify_dataset(tmp_path / "out") == []
    (kept,) = [row for row in read_index(tmp_path / "out") if row.errors]
    assert kept.path == "Up/v_Up_g04_c01.avi"
    summary = prepare(tmp_path / "less", on_damaged="keep", min_fraction=0.9)
    assert (summary.videos, summary.bad, summary.kept) == (9, 1, 0)


@pytest.mark.parametrize(
    "limit",
    [{"max_pixels": 100}, {"max_frames": 5}, {"max_seconds": 0.1}, {"max_bytes": 100}],
)
def test_limits(tmp_path, prepare, limit):
    with pytest.raises(UserError, match="none of the 10 videos"):
        prepare(tmp_path / "out", **limit)
    reasons = {row.reason for row in read_ledger(tmp_path / "out")}
    assert reasons - {"damaged", "unlisted"} == {"too large"}


@pytest.fixture
def extracted(tmp_path) -> Path:
    """Two classes of extracted videos, their flow known."""
    folder = tmp_path / "rawframes"
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)
    for label, code in (("Left", 102), ("Right", 153)):
        for number in range(3):
            video = folder / label / f"v_{number}"
            video.mkdir(parents=True)
            for frame in range(1, 7):
                cv2.imwrite(str(video / f"img_{frame:05d}.jpg"), noise)
                for axis, value in (("x", code), ("y", 128)):
                    flow = np.full((40, 64), value, np.uint8)
                    cv2.imwrite(str(video / f"flow_{axis}_{frame:05d}.jpg"), flow)
    shutil.rmtree(folder / "Right" / "v_2")
    (folder / "Right" / "v_2").mkdir()
    cv2.imwrite(str(folder / "Right" / "v_2" / "img_00001.jpg"), noise)
    return folder


def test_existing_extractions(tmp_path, prepare, extracted, read_all):
    from stfn_keras.video import image

    out = tmp_path / "out"
    summary = prepare(out, frames=str(extracted), frames_bound=20.0)
    assert (summary.videos, summary.bad) == (5, 1)
    manifest = Manifest.load(out)
    assert manifest.flow["external"]["parameters"]["source_bound"] == 20.0
    assert verify_dataset(out) == []
    for record in read_all(out):
        mosaic = image.decode_flow(record["flow/external"][0], 40, 64)
        left = record["video/label_text"] == [b"Left"]
        assert abs(int(mosaic[..., 0].mean()) - (102 if left else 154)) <= 1
    with pytest.raises(UserError, match="--frames brings its own flow"):
        prepare(out, frames=str(extracted), flow=("tvl1",))
    with pytest.raises(UserError, match="flow_fields was .*20.* and is .*32"):
        prepare(out, frames=str(extracted), frames_bound=32.0)


def test_extractions_of_ucf101_by_name(tmp_path, prepare, extracted):
    """TSN's folders lack the class and the suffix that the official lists give."""
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Left\n2 Right\n")
    (lists / "trainlist01.txt").write_text("Left/v_0.avi 1\nLeft/v_1.avi 1\n")
    (lists / "testlist01.txt").write_text("Left/v_2.avi\n")
    summary = prepare(
        tmp_path / "out",
        frames=str(extracted / "Left"),
        protocol="ucf101",
        split_lists=str(lists),
    )
    assert (summary.videos, summary.absent) == (3, 0)
    roles = {row.path: row.roles for row in read_index(tmp_path / "out")}
    assert roles == {"v_0": "r", "v_1": "r", "v_2": "e"}


def test_segments_of_untrimmed_videos(tmp_path, clips, prepare, read_all):
    table = tmp_path / "splits.csv"
    name = "Left/v_Left_g00_c01.avi"
    table.write_text(
        "path,label,split,start,end\n"
        f"{name},first,train,0,0.12\n{name},second,train,0.12,0.24\n"
        f"{name},late,train,5,6\n{name},whole,train,,\n"
    )
    out = tmp_path / "out"
    prepare(out, protocol="csv", csv=str(table), videos=str(clips))
    frames = {row.path.rpartition("#")[2]: row.frames for row in read_index(out)}
    assert frames == {"t=0,0.12": 3, "t=0.12,0.24": 3, name: 6}
    assert [(row.path, row.reason) for row in read_ledger(out)] == [
        (f"{name}#t=5,6", "no frames")
    ]
    assert verify_dataset(out) == []


def test_a_dry_run_writes_nothing(tmp_path, prepare, capsys):
    prepare(tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr().out
    assert "10 videos of 2 classes to prepare in 3 shards; 1 files not listed" in said
    assert "split 1: 4 test, 6 train" in said


def test_an_estimate_comes_before_the_work(tmp_path, clips, prepare, capsys):
    videos = tmp_path / "many"
    for number in range(16):
        (videos / "Left").mkdir(parents=True, exist_ok=True)
        copy = videos / "Left" / f"{number}.avi"
        shutil.copy(clips / "Left" / "v_Left_g00_c01.avi", copy)
    summary = prepare(tmp_path / "out", videos=str(videos), shard_videos=16)
    said = capsys.readouterr().out
    assert "estimate: 16 videos, about " in said
    assert "with 1 workers, 0 MB of" in said
    assert summary.videos == 16


def test_words_for_quantities():
    assert [duration(s) for s in (40, 720, 12600, 200000)] == [
        "40 s",
        "12 min",
        "3.5 h",
        "2.3 days",
    ]
    assert [size(b) for b in (391e6, 5.9e9, 2e12)] == ["391 MB", "5.9 GB", "2.0 TB"]


def test_how_much_may_be_lost():
    def allowed(**options):
        return DatasetOptions(**options).allowed_bad_fraction

    assert allowed(protocol="ucf101") == allowed(protocol="hmdb51") == 0.0
    assert allowed() == allowed(protocol="csv") == 0.1
    assert allowed(protocol="ucf101", max_bad_fraction=0.02) == 0.02
    with pytest.raises(UserError, match="--split_lists goes with --protocol=ucf101 or"):
        DatasetOptions(videos="a", split_lists="b")
    with pytest.raises(UserError, match="--csv goes with --protocol=csv"):
        DatasetOptions(videos="a", protocol="ucf101", csv="b")
    with pytest.raises(UserError, match="--max_bad_fraction must be in 0..1"):
        DatasetOptions(max_bad_fraction=5.0)
    with pytest.raises(UserError, match="--frames takes the place of --videos"):
        DatasetOptions(frames="a", videos="b")


def test_class_names_that_no_line_holds(tmp_path, clips, prepare):
    for name in ("a\nb", "\udcff"):
        folder = tmp_path / "videos" / name
        folder.mkdir(parents=True)
        shutil.copy(clips / "Left" / "v_Left_g00_c01.avi", folder)
        with pytest.raises(UserError, match="UTF-8 without line breaks") as caught:
            prepare(tmp_path / "out", videos=str(tmp_path / "videos"))
        assert "\n" not in str(caught.value)
        shutil.rmtree(tmp_path / "videos")


def test_a_video_that_was_replaced_is_noticed(tmp_path, clips, prepare):
    videos = Path(shutil.copytree(clips, tmp_path / "videos"))
    prepare(tmp_path / "out", videos=str(videos))
    path = videos / "Left" / "v_Left_g00_c01.avi"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match="inputs was 10 videos"):
        prepare(tmp_path / "out", videos=str(videos))


def test_every_word_leads_to_a_command():
    import importlib

    for module in command.COMMANDS.values():
        assert callable(importlib.import_module(f"data_prep.{module}").run)


def test_segments_and_extractions_exclude_each_other(tmp_path, prepare, extracted):
    table = tmp_path / "splits.csv"
    table.write_text("path,label,split,start,end\nLeft/v_0,a,train,0,1\n")
    flags = {"protocol": "csv", "csv": str(table), "frames": str(extracted)}
    with pytest.raises(UserError, match="segments need videos"):
        prepare(tmp_path / "out", **flags)


@pytest.mark.parametrize("layout", ["snippet", "dense"])
def test_estimates_are_of_the_right_size(tmp_path, clips, prepare, layout, capsys):
    videos = tmp_path / "many" / "Left"
    videos.mkdir(parents=True)
    for number in range(16):
        shutil.copy(clips / "Left/v_Left_g00_c01.avi", videos / f"{number}.avi")
    flags = {"videos": str(videos.parent), "layout": layout, "shard_videos": 16}
    jobs = make_task(
        DatasetOptions(videos=flags["videos"], out=str(tmp_path / "out")),
        Configs(PreparationConfig(snippets=3, pairs=2, layout=layout)),
    ).jobs
    found = measure(jobs)
    summary = prepare(tmp_path / "out", **flags)
    assert 0.7 < found.bytes / summary.bytes < 1.3
    assert found.videos == 16
    assert found.cpu_seconds > 0


def test_a_disk_that_goes_away_costs_no_video(tmp_path, clips, prepare):
    """What was there when the run began, and is gone, is the machine's fault."""
    videos = Path(shutil.copytree(clips, tmp_path / "videos"))
    with pytest.raises(UserError, match="was there when the run began.*continues"):
        prepare(tmp_path / "out", faulty_decoders.unmounted, videos=str(videos))
    assert not (tmp_path / "out" / "ledger.csv").exists()
    (videos.parent / "gone").rename(videos)
    assert prepare(tmp_path / "out", videos=str(videos)).videos == 9


def test_higher_limits_try_again(tmp_path, clips, prepare):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="none of the 10 videos"):
        prepare(out, faulty_decoders.timed_out)
    assert prepare(out, max_cpu_seconds=50.0).videos == 9


def test_what_is_new_but_no_video_ends_in_the_ledger(tmp_path, clips, prepare):
    videos = Path(shutil.copytree(clips, tmp_path / "videos"))
    out = tmp_path / "out"
    prepare(out, videos=str(videos))
    (videos / "README").write_text("new")
    with pytest.raises(UserError, match="--add"):
        prepare(out, videos=str(videos))
    assert prepare(out, videos=str(videos), add=True).unlisted == 2
    assert prepare(out, videos=str(videos)).seconds == 0.0
    path = videos / "Left" / "v_Left_g00_c01.avi"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match="must be the video that is in the dataset"):
        prepare(out, videos=str(videos), add=True)


def test_a_dry_run_refuses_what_a_run_would(tmp_path, prepare, capsys):
    prepare(tmp_path / "out")
    with pytest.raises(UserError, match="pairs was 2 and is 1"):
        prepare(tmp_path / "out", dry_run=True, pairs=1)
    capsys.readouterr()
    prepare(tmp_path / "out", dry_run=True)
    assert "finished already" in capsys.readouterr().out
