"""A folder of nasty files costs nothing but those of them that are bad."""

import hashlib
import os
import shutil
from pathlib import Path

import faulty_decoders
import nasty_corpus
import pytest

from data_prep.checking.verify import verify_dataset
from stfn_keras.data.index import read_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest

FAULTY = {
    "run/aborts.avi": "crashed",
    "run/segfaults.avi": "crashed",
    "walk/spins.avi": "timed out",
    "walk/hangs.avi": "timed out",
    "walk/grows.avi": "too large",
}


def state(folder: Path) -> dict[str, str]:
    """Everything about a tree that preparation must leave as it is."""
    found = {}
    for root, names, files in os.walk(folder):
        for name in names + files:
            path = Path(root, name)
            status = path.lstat()
            digest = ""
            if path.is_file() and not path.is_symlink():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = f"{status.st_mode} {status.st_mtime_ns} {digest}"
    return found


@pytest.mark.slow
def test_the_corpus(tmp_path, prepare, monkeypatch):
    videos = tmp_path / "videos"
    videos.mkdir()
    expected = nasty_corpus.build(videos)
    sound = next(name for name, reason in expected.items() if reason is None)
    for name, reason in FAULTY.items():
        shutil.copy(videos / sound, videos / name)
        expected[name] = reason
    assert len(expected) >= 25
    before = state(videos)
    monkeypatch.chdir(tmp_path)  # where a name that reached a shell would show
    settings = {
        "videos": str(videos),
        "shard_videos": 16,
        "max_cpu_seconds": 4.0,
        "stall_seconds": 3.0,
        "max_memory": 512,
    }
    summary = prepare(tmp_path / "out", faulty_decoders.prepare, workers=2, **settings)
    reasons = {row.path: row.reason for row in read_ledger(tmp_path / "out")}
    reasons |= {row.path: None for row in read_index(tmp_path / "out")}
    assert reasons == expected
    assert summary.videos + summary.bad == len(expected)
    assert Manifest.load(tmp_path / "out").inputs == len(expected)
    assert verify_dataset(tmp_path / "out") == []
    assert state(videos) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "videos"]


def test_what_is_no_file_at_all(tmp_path, prepare):
    videos = tmp_path / "videos"
    videos.mkdir()
    expected = nasty_corpus.build_special(videos)
    sound = nasty_corpus.render(videos / "sound.avi")
    names = [*expected, sound.name]
    table = tmp_path / "splits.csv"
    rows = [f"{name},a,train" for name in names]
    table.write_text("\n".join(["path,label,split", *rows]))
    prepare(tmp_path / "out", protocol="csv", csv=str(table), videos=str(videos))
    reasons = {row.path: row.reason for row in read_ledger(tmp_path / "out")}
    assert reasons == expected
    assert [row.path for row in read_index(tmp_path / "out")] == [sound.name]
