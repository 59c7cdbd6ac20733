"""New videos come into a finished dataset; nothing that is there changes."""

import shutil
from pathlib import Path

import pytest

from data_prep import output
from data_prep.checking.verify import verify_dataset
from data_prep.jobs.job import WORK
from stfn_keras.data.index import read_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def clip_of(clips: Path) -> Path:
    return clips / "Left" / "v_Left_g00_c01.avi"


@pytest.fixture
def grown(tmp_path, clips) -> Path:
    """The clips, more of an old class, a new one, and one more bad file."""
    folder = Path(shutil.copytree(clips, tmp_path / "grown"))
    for group in (5, 6):
        shutil.copy(clip_of(clips), folder / "Left" / f"v_Left_g{group:02d}_c01.avi")
    (folder / "Down").mkdir()
    for group in (0, 1):
        shutil.copy(clip_of(clips), folder / "Down" / f"v_Down_g{group:02d}_c01.avi")
    (folder / "Up" / "empty.avi").touch()
    (folder / "more.txt").write_text("of no class either")
    return folder


@pytest.fixture
def out(tmp_path, dataset) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "data"))


def test_new_videos_join(out, dataset, grown, prepare):
    before = Manifest.load(out)
    summary = prepare(out, videos=str(grown), add=True)
    after = Manifest.load(out)
    assert (summary.videos, summary.bad, summary.unlisted) == (13, 2, 2)
    assert verify_dataset(out) == []
    # Old classes keep their numbers, old shards their bytes, old videos their side.
    assert after.labels == ("Left", "Up", "Down")
    assert after.shards[: len(before.shards)] == before.shards
    roles = {row.path: row.roles for row in read_index(out)}
    assert {row.path: row.roles for row in read_index(dataset)}.items() <= roles.items()
    assert {row.path for row in read_ledger(out)} - {
        row.path for row in read_ledger(dataset)
    } == {"Up/empty.avi", "more.txt"}
    assert all("-add1-" in shard.file for shard in after.shards[len(before.shards) :])
    assert {roles[f"Down/v_Down_g0{group}_c01.avi"] for group in (0, 1)} == {"r", "e"}


def test_nothing_new_is_nothing_to_do(out, grown, prepare):
    prepare(out, videos=str(grown), add=True)
    before = contents(out)
    assert prepare(out, videos=str(grown), add=True).seconds == 0.0
    assert prepare(out, videos=str(grown)).seconds == 0.0  # its own settings now
    assert contents(out) == before


def test_a_second_addition_from_another_folder(out, clips, grown, tmp_path, prepare):
    prepare(out, videos=str(grown), add=True)
    other = tmp_path / "other"
    (other / "Round").mkdir(parents=True)
    shutil.copy(clip_of(clips), other / "Round" / "v_Round_g00_c01.avi")
    assert prepare(out, videos=str(other), add=True).videos == 14
    assert verify_dataset(out) == []
    assert Manifest.load(out).labels[-1] == "Round"


@pytest.mark.parametrize("moment", ["recorded", "in shards", "at the manifest"])
def test_an_addition_that_was_killed_is_continued(
    out, grown, prepare, tmp_path, monkeypatch, moment
):
    whole = Path(shutil.copytree(out, tmp_path / "whole"))
    prepare(whole, videos=str(grown), add=True)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "recorded":
            patched.setattr("data_prep.run.supervisor.run_jobs", killed)
        elif moment == "in shards":
            patched.setattr("data_prep.prepare._finish", killed)
        else:
            patched.setattr(output, "tidy", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(out, videos=str(grown), add=True)
    if moment != "at the manifest":  # until then the dataset is what it was
        assert verify_dataset(out) == []
        assert Manifest.load(out).videos == 9
    prepare(out, videos=str(grown), add=True)
    assert contents(out) == contents(whole)
    assert (out / WORK / output.SETTINGS).read_text() == (
        whole / WORK / output.SETTINGS
    ).read_text()


def test_a_video_that_is_listed_now_comes_in(tmp_path, clips, prepare):
    """A file that no row named was unlisted; a row names it later."""
    rows = ["path,label,split", "Left/v_Left_g00_c01.avi,L,train"]
    table = tmp_path / "splits.csv"
    table.write_text("\n".join(rows))
    flags = {"protocol": "csv", "csv": str(table)}
    prepare(tmp_path / "out", **flags)
    table.write_text("\n".join([*rows, "Left/v_Left_g01_c01.avi,L,test"]))
    with pytest.raises(UserError, match="inputs was 1 videos.*--add"):
        prepare(tmp_path / "out", **flags)
    assert prepare(tmp_path / "out", **flags, add=True).videos == 2
    assert verify_dataset(tmp_path / "out") == []


def test_what_may_not_change(out, clips, grown, tmp_path, prepare):
    before = contents(out)
    with pytest.raises(UserError, match="pairs was 2 and is 1"):
        prepare(out, videos=str(grown), add=True, pairs=1)
    with pytest.raises(UserError, match="needs a finished dataset"):
        prepare(tmp_path / "new", videos=str(grown), add=True)
    table = tmp_path / "splits.csv"
    table.write_text("path,label,split\nLeft/v_Left_g00_c01.avi,Up,train\n")
    flags = {"protocol": "csv", "csv": str(table), "videos": str(clips)}
    with pytest.raises(UserError, match="protocol was folder and is csv"):
        prepare(out, **flags, add=True)
    assert contents(out) == before
    assert not (tmp_path / "new").exists()


def test_a_video_must_keep_its_class(tmp_path, clips, prepare):
    table = tmp_path / "splits.csv"
    flags = {"protocol": "csv", "csv": str(table)}
    head = "path,label,split\nLeft/v_Left_g00_c01.avi,"
    table.write_text(f"{head}L,train\n")
    prepare(tmp_path / "out", **flags)
    table.write_text(f"{head}M,train\nLeft/v_Left_g01_c01.avi,L,test\n")
    with pytest.raises(UserError, match="had label 'L' and has 'M' now"):
        prepare(tmp_path / "out", **flags, add=True)
