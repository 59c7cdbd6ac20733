"""A decoder takes no more than its own video with it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import faulty_decoders
import psutil
import pytest

from data_prep.jobs.isolated import KILLS, Decoder, ProcessLimits, StoppedError
from stfn_keras.errors import UserError
from stfn_keras.video.decode import VideoError

QUICK = ProcessLimits(max_cpu_seconds=0.5, max_memory=256, stall_seconds=1.0)


def item(name: str) -> dict:
    return {"id": name, "path": name}


@pytest.fixture
def others() -> set:
    """Children that other tests' jobs keep for the next."""
    return set(multiprocessing.active_children())


@pytest.fixture
def decoder(others):
    with Decoder(QUICK, faulty_decoders.quick_or_faulty) as decoder:
        yield decoder
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.parametrize(
    ("name", "reason", "note"),
    [
        ("aborts", "crashed", "SIGABRT"),
        ("segfaults", "crashed", "SIGSEGV"),
        ("exits", "crashed", "exit 0"),
        ("raises", "crashed", "ZeroDivisionError"),
        ("spins", "timed out", "--max_cpu_seconds=0.5"),
        ("hangs", "timed out", "--stall_seconds=1"),
    ],
)
def test_it_costs_one_video(decoder, name, reason, note):
    assert decoder.prepare(item("before"))[0] == b"before"
    with pytest.raises(VideoError) as caught:
        decoder.prepare(item(name))
    assert caught.value.reason == reason
    assert note in caught.value.__notes__[0]
    assert "\n" not in caught.value.__notes__[0]
    record, info = decoder.prepare(item("after"))
    assert record == b"after"
    assert info["pairs"] == 2
    assert info["cpu"] >= 0


def test_memory_is_bounded():
    limits = ProcessLimits(max_memory=256)
    with Decoder(limits, faulty_decoders.quick_or_faulty) as decoder:
        with pytest.raises(VideoError, match="too large") as caught:
            decoder.prepare(item("grows"))
        assert "--max_memory" in caught.value.__notes__[0]
        assert decoder.prepare(item("after"))[0] == b"after"


@pytest.mark.parametrize("fault", ["killed_once", "crashed_once"])
def test_a_fault_that_does_not_repeat_costs_nothing(tmp_path, fault):
    """A kill from outside is no property of the video; one crash proves none."""
    with Decoder(QUICK, getattr(faulty_decoders, fault)) as decoder:
        name = str(tmp_path / "a.avi")
        assert decoder.prepare(item(name))[0] == name.encode()


def test_endless_kills_from_outside_end_the_run():
    with Decoder(QUICK, faulty_decoders.always_killed) as decoder:
        with pytest.raises(UserError, match=f"a.avi.*killed {KILLS} times.*--workers"):
            decoder.prepare(item("a.avi"))


def test_a_stopped_process_has_not_hung(decoder, others):
    """Ctrl-Z, or a scheduler's pause, is not the decoder's doing."""
    decoder.prepare(item("before"))
    (child,) = set(multiprocessing.active_children()) - others
    pause = threading.Timer(0.2, os.kill, (child.pid, signal.SIGSTOP))
    go_on = threading.Timer(2.5, os.kill, (child.pid, signal.SIGCONT))
    pause.start(), go_on.start()
    with pytest.raises(VideoError, match="timed out") as caught:
        decoder.prepare(item("spins"))
    assert not go_on.is_alive()  # the pause itself did not end it
    assert "--max_cpu_seconds" in caught.value.__notes__[0]


def test_stop_ends_it_from_another_thread(decoder):
    threading.Timer(0.5, decoder.stop).start()
    with pytest.raises(StoppedError):
        decoder.prepare(item("spins"))
    with pytest.raises(StoppedError):
        decoder.prepare(item("after"))


def test_settings_that_cannot_be_used_end_the_run():
    config = {"flow": ["nope"]}
    decoding = {}
    broken = {**item("a.avi"), "config": config, "decoding": decoding}
    with Decoder(QUICK) as decoder:
        with pytest.raises(UserError, match="nope"):
            decoder.prepare({**broken, "frames_bound": 0, "segment": None})


PARENT = """
import faulty_decoders
from data_prep.jobs.isolated import Decoder
import multiprocessing, threading, time
if __name__ == "__main__":
    decoder = Decoder(prepare=faulty_decoders.quick_or_faulty)
    decoder.prepare({"id": "a", "path": "a"})
    spin = {"id": "s", "path": "NAME"}
    threading.Thread(target=decoder.prepare, args=(spin,)).start()
    time.sleep(0.3)
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("name", ["spins", "hangs"])
def test_it_dies_with_its_parent(tmp_path, name):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.replace("NAME", name))
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), str(root / "tests")])
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the decoder outlived its parent"
        time.sleep(0.05)


def test_limits_must_make_sense():
    for bad in ({"max_cpu_seconds": 0}, {"max_memory": 1}, {"stall_seconds": -1}):
        with pytest.raises(UserError, match=f"--{next(iter(bad))}"):
            ProcessLimits(**bad)
