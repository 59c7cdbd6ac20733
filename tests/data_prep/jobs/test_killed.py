"""Killed at any moment and started again, a preparation ends at the same bytes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from data_prep.checking.verify import verify_dataset

ROOT = Path(__file__).parents[3]
MOMENTS = 10


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def start(clips: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "data_prep", f"--videos={clips}", f"--out={out}",
               "--name=tiny", "--snippets=3", "--pairs=2", "--workers=2",
               "--shard_videos=2"]  # fmt: skip
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def decoders(process: subprocess.Popen) -> list[psutil.Process]:
    """The children that decode; there are none while it starts and ends."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
    return []


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def end(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def undisturbed(clips, tmp_path_factory) -> tuple[dict[str, bytes], float]:
    out = tmp_path_factory.mktemp("undisturbed") / "data"
    started = time.monotonic()
    end(start(clips, out))
    return contents(out), time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("victims", ["children", "supervisor", "both"])
def test_killed_at_random_moments(tmp_path, clips, undisturbed, victims):
    """Every kill counts: of a child the run goes on, else the next run does."""
    expected, seconds = undisturbed
    draws = random.Random(f"{victims} 0")  # noqa: S311 (of moments, not of secrets)
    out = tmp_path / "data"
    kills = 0
    process = start(clips, out)
    while kills < MOMENTS:
        time.sleep(draws.uniform(0.0, seconds))
        children = decoders(process)
        if process.poll() is not None:  # done: once more, from nothing
            end(process)
            assert contents(out) == expected
            shutil.rmtree(out)
            process = start(clips, out)
        elif victims == "children":
            kills += bool(children)
            kill(children)
        else:
            if victims == "both":
                kill(children)
            process.kill()
            process.communicate()
            kills += 1
            # None outlives its supervisor.
            assert psutil.wait_procs(children, timeout=30)[1] == []
            process = start(clips, out)
    end(process)
    end(start(clips, out))
    assert contents(out) == expected
    assert verify_dataset(out) == []


def test_only_one_run_at_a_time(tmp_path, clips):
    out = tmp_path / "data"
    first = start(clips, out)
    deadline = time.monotonic() + 60
    while not decoders(first) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end before the second
    try:
        second = start(clips, out)
        _, errors = second.communicate(timeout=60)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 1
    assert errors.startswith("error: --out must be free. Another run is at work")
    end(first)


def test_a_polite_end(tmp_path, clips):
    """SIGTERM, which schedulers send, is Ctrl-C by another name."""
    process = start(clips, tmp_path / "data")
    deadline = time.monotonic() + 60
    while not decoders(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = decoders(process)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(children, timeout=30)[1] == []
