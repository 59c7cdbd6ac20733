"""A faulty shard is made again, byte for byte, and nothing else is touched."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.checking.verify import verify_dataset
from data_prep.repair import repair_dataset
from stfn_keras.data.manifest import MEND, Manifest
from stfn_keras.errors import UserError

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def out(tmp_path, dataset) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "data"))


def damage(out: Path) -> list[Path]:
    """Flip a bit of one shard, lose another."""
    flipped, lost = (out / shard.file for shard in Manifest.load(out).shards[:2])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    lost.unlink()
    return [flipped, lost]


def test_faulty_shards_are_made_again(out, dataset, clips):
    damaged = damage(out)
    sound = [path for path in out.glob("*.tfrecord") if path not in damaged]
    before = {path: path.stat().st_mtime_ns for path in sound}
    assert repair_dataset(out, clips, workers=2) == [path.name for path in damaged]
    assert contents(out) == contents(dataset)
    assert {path: path.stat().st_mtime_ns for path in sound} == before
    assert verify_dataset(out) == []
    assert repair_dataset(out, clips) == []


def test_of_a_dataset_that_grew(out, clips, tmp_path, prepare):
    videos = Path(shutil.copytree(clips, tmp_path / "videos"))
    clip = videos / "Left" / "v_Left_g00_c01.avi"
    shutil.copy(clip, videos / "Left" / "v_Left_g09_c01.avi")
    prepare(out, videos=str(videos), add=True)
    before = contents(out)
    added = Manifest.load(out).shards[-1]
    assert "-add1-" in added.file
    (out / added.file).unlink()
    assert repair_dataset(out, videos) == [added.file]
    assert contents(out) == before


def test_segments_and_extra_fields(clips, tmp_path, prepare):
    table = tmp_path / "splits.csv"
    name = "Left/v_Left_g00_c01.avi"
    rows = f"{name},a,train,0,0.16\n{name},b,train,0.08,0.24\n"
    table.write_text(f"path,label,split,start,end\n{rows}")
    flags = {"protocol": "csv", "csv": str(table), "videos": str(clips)}
    out = tmp_path / "out"
    prepare(out, **flags, layout="dense", flow=("dis", "warped_dis"))
    before = contents(out)
    next(out.glob("*.tfrecord")).unlink()
    repair_dataset(out, clips)
    assert contents(out) == before


def test_other_videos_replace_nothing(out, clips, tmp_path):
    damage(out)
    before = contents(out)
    other = Path(shutil.copytree(clips, tmp_path / "other"))
    for path in other.rglob("*.avi"):
        shutil.copy(other / "Up" / "v_Up_g00_c01.avi", tmp_path / "one")
        shutil.copy(tmp_path / "one", path)
    with pytest.raises(UserError, match="other bytes.*nothing is replaced"):
        repair_dataset(out, other)
    assert contents(out) == before
    for path in other.rglob("*.avi"):
        path.unlink()
    with pytest.raises(UserError, match="2 more faulty shards.*without it.* 0 shards"):
        repair_dataset(out, other)
    assert contents(out) == before
    assert len(repair_dataset(out, clips)) == 2


def test_the_advice_of_verify_works(out, dataset, clips):
    """What the messages tell users to type, typed."""
    damage(out)
    assert all(MEND in fault for fault in verify_dataset(out) if "shard" in fault)
    words = (
        MEND.split("`")[1].replace("DATASET", str(out)).replace("VIDEOS", str(clips))
    )
    command = [sys.executable, *words.split()[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 shards made again" in done.stdout
    assert contents(out) == contents(dataset)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "nothing to do" in again.stdout


def test_what_cannot_be_repaired(out, tmp_path, clips):
    with pytest.raises(UserError, match="--videos must be the videos' folder"):
        repair_dataset(out, tmp_path / "nowhere")
    damage(out)
    (out / "videos.csv").unlink()
    with pytest.raises(UserError, match="videos.csv is missing"):
        repair_dataset(out, clips)
