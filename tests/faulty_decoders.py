"""Stand-ins for the decoder, importable by its child process: some never return.

What a video's name holds decides what becomes of it; any other is prepared.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from data_prep.jobs.item import prepare_item
from stfn_keras.video.decode import VideoError


def prepare(item: dict) -> tuple[bytes, dict]:
    """Misbehave as the video's name says."""
    name = Path(item["path"]).name
    if "aborts" in name:
        os.abort()
    if "segfaults" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "exits" in name:
        os._exit(0)
    if "spins" in name:
        while True:
            pass
    if "hangs" in name:
        time.sleep(3600)
    if "grows" in name:
        hoard = []
        while True:
            hoard.append(np.ones(4 << 20))
    if "raises" in name:
        raise ZeroDivisionError("no such\nluck")
    return prepare_item(item)


def quick(item: dict) -> tuple[bytes, dict]:
    """A record without any decoding."""
    info = {"frames": 9, "rate": 25.0, "height": 32, "width": 48, "errors": 0}
    return item["id"].encode(), {**info, "pairs": 2}


def quick_or_faulty(item: dict) -> tuple[bytes, dict]:
    """The same, but for names that misbehave."""
    if Path(item["path"]).stem.endswith("s"):
        return prepare(item)
    return quick(item)


def killed_once(item: dict) -> tuple[bytes, dict]:
    """Be killed from outside at the first try of each video."""
    return _once(item, signal.SIGKILL)


def crashed_once(item: dict) -> tuple[bytes, dict]:
    """Crash at the first try of each video."""
    return _once(item, signal.SIGSEGV)


def always_killed(item: dict) -> tuple[bytes, dict]:
    """Be killed from outside at every try."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise VideoError("crashed")


def _once(item: dict, number: int) -> tuple[bytes, dict]:
    tried = Path(item["path"] + ".tried")
    if not tried.exists():
        tried.touch()
        os.kill(os.getpid(), number)
    return quick(item)


def unmounted(item: dict) -> tuple[bytes, dict]:
    """Take the videos' folder away, then prepare."""
    folder = Path(item["path"]).parents[1]
    if folder.exists():
        folder.rename(folder.parent / "gone")
    return prepare_item(item)


def timed_out(item: dict) -> tuple[bytes, dict]:
    """As if every video took too long."""
    raise VideoError("timed out")
