"""Commands in processes of their own that need not import TensorFlow first.

done = run("train.py", "--data", folder, "--out", out)
assert done.returncode == 0, done.stderr

One process imports Keras, starts nothing of TensorFlow, and is forked for every
command: each has flags, devices, output, exit status and death of its own, as a new
process has. What a new process imports, tests/e2e and tests/commands show.
"""

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent


class Forked:
    """A command that runs; its output goes to a file of each kind."""

    def __init__(self, *arguments: object, cwd: Path = ROOT, **environment: str):
        self.arguments = [str(argument) for argument in arguments]
        self._files = [tempfile.NamedTemporaryFile("r") for _ in range(2)]
        self._parent = _parent()
        self.pid = self._parent.start(
            arguments=self.arguments, cwd=str(cwd),
            environment={**os.environ, **environment},
            streams=[file.name for file in self._files],
        )  # fmt: skip

    @property
    def stderr(self) -> str:
        """What was written there so far."""
        self._files[1].seek(0)
        return self._files[1].read()

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        if self._parent.ended(self.pid) is None:
            os.kill(self.pid, 9)

    def wait(self, timeout: float = 600) -> int:
        """The exit status, or the negative number of the signal that ended it."""
        deadline = time.monotonic() + timeout
        while (status := self._parent.ended(self.pid, 1.0)) is None:
            if time.monotonic() > deadline:
                self.kill()
                raise subprocess.TimeoutExpired(self.arguments, timeout)
        return status

    def done(self, timeout: float = 600) -> subprocess.CompletedProcess:
        """As `subprocess.run` gives it."""
        status, texts = self.wait(timeout), []
        for file in self._files:
            file.seek(0)
            texts.append(file.read())
        return subprocess.CompletedProcess(self.arguments, status, *texts)


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run a script, `-m` and a module, or `-c` and a program, with its arguments."""
    return Forked(*arguments, **options).done()


class _Parent:
    """The process that is forked, seen from the tests."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(TESTS), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._ended: dict[int, int] = {}
        atexit.register(self._process.communicate)

    def start(self, **command: object) -> int:
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        while (started := self._read()) is None:
            pass
        return started

    def ended(self, pid: int, wait: float = 0.0) -> int | None:
        """The exit status, or None as long as it runs."""
        output = self._process.stdout
        while pid not in self._ended and select.select([output], [], [], wait)[0]:
            self._read()
        return self._ended.get(pid)

    def _read(self) -> int | None:
        """Take in a line: what has ended, or the process that was started."""
        line = os.read(self._process.stdout.fileno(), 64)
        assert len(line) == 64, "the parent of the commands is gone"
        said = json.loads(line)
        if "status" in said:
            self._ended[said["pid"]] = said["status"]
            return None
        return said["pid"]


@functools.cache
def _parent() -> _Parent:
    return _Parent()


def _serve() -> dict | None:
    """Fork for each command; gives the command in the fork, None at the end."""

    def say(**said: int) -> None:
        os.write(1, json.dumps(said).encode().ljust(64))

    while True:
        if select.select([0], [], [], 0.02)[0]:
            if not (line := sys.stdin.buffer.raw.readline()):
                return None
            if not (pid := os.fork()):
                return json.loads(line)
            say(pid=pid)
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                say(pid=found[0], status=os.waitstatus_to_exitcode(found[1]))


def _become(command: dict) -> None:
    """Do as the interpreter does that is given these arguments."""
    for target, stream in enumerate(command["streams"], 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_APPEND), target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["environment"])
    first, *rest = command["arguments"]
    sys.path[0] = command["cwd"]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})  # noqa: S102
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def _end(run: Callable[[], None]) -> None:
    """End as the interpreter does, but for the seconds of taking modules apart."""
    status: object = None
    try:
        run()
    except SystemExit as left:
        status = left.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status or 0))


if __name__ == "__main__":
    from stfn_keras.quiet import import_keras_quietly

    import_keras_quietly()
    gc.collect()
    gc.freeze()
    if found := _serve():
        _end(functools.partial(_become, found))
