"""The command line: one line per error, exit codes, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = ("--snippets=2", "--pairs=1", "--workers=2", "--shard_videos=1")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "data_prep", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_prepare_continue_and_verify(tmp_path, clips):
    out = str(tmp_path / "data")
    flags = ("--videos", str(clips), "--out", out, "--limit=4", *QUICK)
    flags += ("--max_bad_fraction=1",)
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert "videos in" in done.stdout
    assert "1 unlisted in the ledger" in done.stdout
    again = run(*flags)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    sound = run("verify", out)
    assert sound.returncode == 0
    assert "sound" in sound.stdout
    shard = next(Path(out).glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-1])
    faulty = run("verify", out)
    assert faulty.returncode == 1
    assert shard.name in faulty.stdout
    assert len(faulty.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--out must name the dataset directory"),
        (("--out=x",), "needs --videos"),
        (("--out=x", "--videos=nowhere"), "Received: nowhere"),
        (("--out=x", "--flow=farneback"), "Received: 'farneback'"),
        (("--out=x", "--size=8"), "--size must be"),
        (("--out=x", "--shard_videos=-1"), "--shard_videos must be 0 or more"),
        (("--out=x", "stray"), "Received: 'stray'"),
        (("verify",), "verify needs a dataset directory"),
        (("verify", "nowhere"), "nowhere must be a dataset"),
    ],
)
def test_errors_are_one_line(arguments, message):
    result = run(*arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not (ROOT / "x").exists()


@pytest.mark.slow
def test_an_interrupted_run_continues(tmp_path, clips, dataset):
    out = tmp_path / "data"
    flags = ("--videos", str(clips), "--out", str(out), *QUICK)
    process = subprocess.Popen(
        command(*flags),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that Ctrl-C reaches the children as well
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("*.tfrecord")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "continues" in errors
    assert not (out / "manifest.json").exists()
    assert run(*flags).returncode == 0
    assert run("verify", str(out)).returncode == 0
