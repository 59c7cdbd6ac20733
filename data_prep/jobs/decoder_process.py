"""The inside of a decoding process: items in, records out, until told to end.

    serve(connection, prepare, max_memory=4096)  # in the child

`isolated.Decoder` is its other side. Messages are JSON but for the record itself.
"""

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import cv2
import psutil

from stfn_keras.errors import UserError
from stfn_keras.video.decode import VideoError

MEGABYTE = 1 << 20
_PR_SET_PDEATHSIG = 1


def serve(connection: Connection, prepare: Callable, max_memory: int) -> None:
    """Answer every item with its record, or with why there is none.

    Args:
        connection: To the process that asks.
        prepare: As `item.prepare_item`.
        max_memory: What one video may add to this process, in MB.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    _die_with_parent()
    _bound_memory(max_memory)
    # A dead parent is no one to answer.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _send(connection, {"ready": True})
        while True:
            item = json.loads(connection.recv_bytes())
            header, record = _answer(prepare, item)
            _send(connection, header)
            if record is not None:
                connection.send_bytes(record)


def _answer(
    prepare: Callable, item: dict[str, Any]
) -> tuple[dict[str, Any], bytes | None]:
    started = time.process_time()
    try:
        record, info = prepare(item)
    except VideoError as error:
        header = _rejected(error.reason, error.declared, error.decoded)
        starved = isinstance(error.__cause__, MemoryError | cv2.error)
        return {**header, "starved": starved}, None
    except MemoryError:
        return {**_rejected("too large"), "starved": True}, None
    except UserError as error:
        return {"unusable": str(error)}, None
    except Exception as error:  # whatever a library makes of a strange file
        return _rejected("crashed", detail=" ".join(repr(error).split())), None
    return {**info, "cpu": time.process_time() - started}, record


def _rejected(
    reason: str, declared: int = 0, decoded: int = 0, detail: str = ""
) -> dict[str, Any]:
    return {
        "reason": reason,
        "declared": declared,
        "decoded": decoded,
        "detail": detail,
        "starved": False,  # of memory, which may be the machine's lack
    }


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _die_with_parent() -> None:
    """End with the parent, even inside a library call that never returns."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it died before the request
            os._exit(1)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _bound_memory(max_memory: int) -> None:
    """Let an allocation fail that would take more than one video may.

    The parent watches the resident size too, where a system has no such limit.
    """
    if sys.platform != "linux":
        return
    import resource

    # Counted from here: threads of numerical libraries reserve some on many cores.
    used = psutil.Process().memory_info().data
    bound = used + max_memory * MEGABYTE
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or bound < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
