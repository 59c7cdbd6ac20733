"""Stopped between any two steps of finishing, a dataset is finished by the next run."""

import shutil
from pathlib import Path

import pytest

from data_prep import output
from data_prep.checking.verify import verify_dataset
from stfn_keras import storage

STEPS = ((storage, "put"), (storage, "write_text"), (storage, "delete"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


class Killed(BaseException):
    """What no handler catches, as SIGKILL."""


def kill_at(monkeypatch, number: int) -> list[str]:
    """Die before the step of that number; returns the steps taken."""
    taken: list[str] = []

    def counted(step):
        def run(*arguments, **options):
            if len(taken) == number:
                # Nothing may tidy up any more, as nothing could after SIGKILL.
                monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None)
                raise Killed
            taken.append(step.__name__)
            return step(*arguments, **options)

        return run

    for module, name in STEPS:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    return taken


@pytest.mark.parametrize("add", [False, True])
def test_killed_between_any_two_steps(tmp_path, clips, dataset, prepare, add):
    videos = Path(shutil.copytree(clips, tmp_path / "videos"))
    start = tmp_path / "start"
    if add:
        shutil.copytree(dataset, start)
        clip = videos / "Left" / "v_Left_g00_c01.avi"
        shutil.copy(clip, videos / "Left" / "v_Left_g09_c01.avi")
        (videos / "Left" / "empty.avi").touch()
        (videos / "more.txt").touch()
    flags = {"videos": str(videos), "add": add, "snippets": 3, "shard_videos": 16}
    if add:
        flags["shard_videos"] = 4
    # The shards are made once; each trial starts behind them.
    begun = tmp_path / "begun"
    if add:
        shutil.copytree(start, begun)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.prepare._finish", _killed)
        with pytest.raises(Killed):
            prepare(begun, **flags)
    whole = Path(shutil.copytree(begun, tmp_path / "whole"))
    prepare(whole, **flags)
    number, done = 0, False
    while not done:
        trial = Path(shutil.copytree(begun, tmp_path / f"trial{number}"))
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, number)
            try:
                prepare(trial, **flags)
                done = True
            except Killed:
                pass
        prepare(trial, **flags)
        assert contents(trial) == contents(whole), number
        assert verify_dataset(trial) == []
        plain = {**flags, "add": False}
        assert prepare(trial, **plain).seconds == 0.0
        number += 1
    assert number > 6


def _killed(task):
    raise Killed


def test_what_a_killed_run_leaves_is_no_obstacle(tmp_path, prepare):
    out = tmp_path / "data"
    prepare(out, limit=2)
    (out / output.WORK / "finish").mkdir()
    (out / output.WORK / "finish" / "labels.txt").write_text("cut")
    assert prepare(out, limit=2).seconds == 0.0
    assert verify_dataset(out) == []
