"""Whole datasets: complete, the same however they are made, and never overwritten."""

import json
import shutil
from pathlib import Path

import pytest

from data_prep import output, plan
from data_prep.jobs.job import WORK, run_job
from data_prep.plan import Configs
from stfn_keras.data.ledger import Rejected, read_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError
from stfn_keras.video import image


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_input_is_in_a_shard_or_in_the_ledger(clips, dataset, read_all):
    manifest = Manifest.load(dataset)
    rejected = read_ledger(dataset)
    records = read_all(dataset)
    names = [record["video/id"][0].decode() for record in records]
    everything = [p.relative_to(clips).as_posix() for p in clips.rglob("*.*")]
    assert sorted(names + [row.path for row in rejected]) == sorted(everything)
    cut, notes = rejected
    assert (cut.path, cut.reason) == ("Up/v_Up_g04_c01.avi", "damaged")
    assert 0 < cut.frames_decoded < 6
    assert notes == Rejected("notes.txt", "unlisted")
    assert manifest.videos == len(records) == 9
    assert (dataset / "labels.txt").read_text() == "Left\nUp\n"


def test_records_and_manifest_agree(dataset, read_all):
    manifest = Manifest.load(dataset)
    manifest.verify(dataset)
    assert (manifest.name, manifest.protocol, manifest.splits) == ("tiny", "folder", 1)
    assert manifest.flow["dis"]["preset"] == "dis"
    assert (manifest.pairs, manifest.snippets) == (2, 3)
    files = {path.name for path in dataset.glob("*.tfrecord")}
    assert files == {shard.file for shard in manifest.shards}
    assert "tiny-r-00001-of-00002.tfrecord" in files
    for record in read_all(dataset):
        label = manifest.labels[record["video/label"][0]]
        assert record["video/label_text"] == [label.encode()]
        assert record["video/id"][0].decode().startswith(label)
        assert record["video/group"][0].decode().startswith(f"{label}/g0")
        assert record["video/frames"] == [6]
        assert record["snippet/frame"] == [0, 2, 3]
        size = record["video/height"][0], record["video/width"][0]
        assert size == (32, 48)
        assert [image.decode_rgb(d).shape for d in record["snippet/rgb"]] == 3 * [
            (32, 48, 3)
        ]
        mosaics = [image.decode_flow(d, *size) for d in record["flow/dis"]]
        assert [mosaic.shape for mosaic in mosaics] == 3 * [(2, 32, 48, 2)]


def test_the_same_bytes_with_one_worker_or_two(tmp_path, prepare, dataset):
    prepare(tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(dataset)


def test_a_finished_dataset_is_left_alone(tmp_path, prepare):
    first = prepare(tmp_path / "a", limit=2)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    again = prepare(tmp_path / "a", limit=2, workers=2)
    assert (again.videos, again.bad) == (first.videos, first.bad)
    assert again.seconds == 0.0
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_an_unfinished_dataset_is_continued(tmp_path, clips, prepare, dataset):
    """One shard is whole, one was altered after it was written, the rest are not."""
    out = tmp_path / "half"
    shutil.copytree(dataset / WORK, out / WORK)
    settings = json.loads((out / WORK / output.SETTINGS).read_text())
    configs = Configs(Manifest.load(dataset).preparation)
    options = plan.DatasetOptions(
        out=str(out), name="tiny", shard_videos=settings["shard_videos"]
    )
    inputs = discover("folder", clips)
    videos = plan.taken(inputs.videos)
    jobs = plan.make_jobs(options, configs, clips, videos, inputs.labels)
    for job in jobs[:2]:
        run_job(job, lambda rejected: None)
    whole, altered = (out / job["file"] for job in jobs[:2])
    altered.write_bytes(altered.read_bytes()[:-1])
    (out / WORK / f"{jobs[2]['file']}.partial").write_bytes(b"cut")
    before = whole.stat().st_ino
    prepare(out)
    assert contents(out) == contents(dataset)
    assert whole.stat().st_ino == before
    left = {path.name for path in (out / WORK).iterdir()} - {"lock"}
    assert left == {output.SETTINGS}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pairs": 1}, "pairs was 2 and is 1"),
        ({"flow": ("dis_fine",)}, "flow was"),
        ({"size": "24"}, "size was 256 and is 24"),
        ({"shard_videos": 5}, "shard_videos was 4"),
        ({"limit": 1}, "inputs was 10 videos"),
        ({"seed": 3}, "inputs was"),
        ({"flip": False}, "flip was True"),
    ],
)
def test_other_settings_are_refused(prepare, dataset, change, word):
    before = contents(dataset)
    with pytest.raises(UserError, match=word) as caught:
        prepare(dataset, **change)
    assert "\n" not in str(caught.value)
    assert contents(dataset) == before


def test_folders_that_are_not_ours_are_refused(tmp_path, clips, prepare):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        prepare(tmp_path)
    with pytest.raises(UserError, match="Received a file"):
        prepare(tmp_path / "mine.txt")
    with pytest.raises(UserError, match="outside the video folder"):
        prepare(clips / "data")
    with pytest.raises(UserError, match="--out must name"):
        prepare("")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert not (clips / "data").exists()


def test_an_empty_folder_is_used(tmp_path, prepare):
    (tmp_path / "new").mkdir()
    assert prepare(tmp_path / "new", limit=1).videos == 1


def test_a_limited_dataset_is_a_sample_of_the_whole(tmp_path, prepare, dataset):
    prepare(tmp_path / "some", limit=3)
    some = Manifest.load(tmp_path / "some")
    assert some.videos + len(read_ledger(tmp_path / "some")) == 4
    assert some.labels == Manifest.load(dataset).labels


def test_no_usable_video_is_an_error_with_a_ledger(tmp_path, prepare):
    videos = tmp_path / "bad"
    (videos / "Class").mkdir(parents=True)
    (videos / "Class" / "a.avi").write_text("text")
    with pytest.raises(UserError, match=r"none of the 1 videos.*ledger.csv"):
        prepare(tmp_path / "out", videos=str(videos))
    assert read_ledger(tmp_path / "out")[0].reason == "unreadable container"
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_several_flow_fields_and_frames_per_snippet(tmp_path, prepare, read_all):
    prepare(tmp_path / "a", flow=("dis", "dis_fine"), rgb_per_snippet=3, limit=1)
    (record,) = read_all(tmp_path / "a")
    assert len(record["snippet/rgb"]) == 9
    assert len(record["flow/dis"]) == len(record["flow/dis_fine"]) == 3
    assert record["flow/dis"] != record["flow/dis_fine"]


def test_unusual_names(tmp_path, clips, prepare, read_all):
    videos = tmp_path / "odd"
    name = "é 'x'; \"y\" %d\n&.avi"
    (videos / "a class").mkdir(parents=True)
    shutil.copy(clips / "Left/v_Left_g00_c01.avi", videos / "a class" / name)
    prepare(tmp_path / "out", videos=str(videos))
    (record,) = read_all(tmp_path / "out")
    assert record["video/id"] == [f"a class/{name}".encode()]


def test_bad_options_are_one_line():
    for bad in ({"name": "a/b"}, {"shard_videos": -1}, {"workers": -1}):
        with pytest.raises(UserError, match=f"--{next(iter(bad))}"):
            plan.DatasetOptions(**bad)


@pytest.mark.real
def test_two_real_clips(tmp_path, real_data, prepare):
    summary = prepare(
        tmp_path / "real",
        videos=str(real_data / "UCF-101"),
        protocol="ucf101",
        split_lists=str(real_data / "ucfTrainTestlist"),
        limit=2,
    )
    assert (summary.videos, summary.bad) == (2, 0)
    assert Manifest.load(tmp_path / "real").splits == 3
