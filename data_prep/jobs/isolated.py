"""A process of its own for decoding, so that no video can take more than itself.

    with Decoder(ProcessLimits()) as decoder:
        record, info = decoder.prepare(item)

A decoder that crashes, hangs or grows costs the one video at hand: the process is
replaced and the next video goes on. A kill from outside is no property of the video,
so it is tried again. The process dies with the one that started it.
"""

import contextlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import psutil

from data_prep.jobs import decoder_process
from data_prep.jobs.item import Item, prepare_item
from stfn_keras.config import check_at_least, option
from stfn_keras.errors import UserError
from stfn_keras.video.decode import VideoError

Prepare = Callable[[Item], tuple[bytes, dict[str, Any]]]

TICK = 0.2  # seconds between two looks at the process
GRACE = 5.0  # seconds from closing the connection to the end
KILLS = 10  # from outside, at one video, before the run gives up
# Signals by which a process dies of its own doing. People, schedulers and the kernel's
# memory killer send others.
FAULTS = {
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGILL,
    signal.SIGFPE,
    signal.SIGSYS,
    signal.SIGTRAP,
}
# Asleep in any other state than these is asleep by the decoder's own doing.
EXCUSED = {
    psutil.STATUS_RUNNING,
    psutil.STATUS_DISK_SLEEP,
    psutil.STATUS_STOPPED,
    psutil.STATUS_TRACING_STOP,
}


@dataclass(frozen=True)
class ProcessLimits:
    """What the process may use for one video; independent of the machine's load."""

    max_cpu_seconds: float = option(
        3600.0, "CPU seconds for one video at most; beyond: timed out"
    )
    max_memory: int = option(4096, "MB for one video at most; beyond: too large")
    stall_seconds: float = option(
        300.0, "seconds a decoder may sleep without using the CPU; beyond: timed out"
    )

    def __post_init__(self) -> None:
        check_at_least(self, 0.1, "max_cpu_seconds", "stall_seconds")
        check_at_least(self, 64, "max_memory")


class StoppedError(Exception):
    """The decoder was stopped on purpose while it worked."""


class _DeathError(Exception):
    """The process ended, or was ended, before it answered.

    Attributes:
        reason: Of the ledger; None for a kill from outside.
        certain: Whether it is the video's doing beyond doubt.
    """

    def __init__(self, reason: str | None, detail: str, certain: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.certain = certain


class Decoder:
    """A decoding process that is replaced when it dies.

    Args:
        limits: Of each video.
        prepare: What the process does with an item; an importable function.
    """

    def __init__(
        self, limits: ProcessLimits | None = None, prepare: Prepare = prepare_item
    ) -> None:
        self._limits = limits or ProcessLimits()
        self._prepare = prepare
        self._child: _Child | None = None
        self._stopped = False

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def stop(self) -> None:
        """End the process, from any thread; `prepare` raises StoppedError."""
        self._stopped = True
        if child := self._child:
            child.kill()

    def prepare(self, item: Item) -> tuple[bytes, dict[str, Any]]:
        """Prepare one video in the process.

        Returns:
            As `prepare_item`; the second part also has `cpu`, in seconds.

        Raises:
            VideoError: The video cannot be used: as `prepare_item`, or `crashed`,
                `timed out`, `too large` for what it did to the process. A note says
                more where there is more to say.
            UserError: The settings cannot be used, or the process cannot be started
                or is killed again and again from outside.
            StoppedError: `stop` was called.
        """
        kills, suspected = 0, False
        while not self._stopped:
            try:
                return self._attempt(item)
            except _DeathError as death:
                self._end()
                if self._stopped:
                    break
                if death.reason is None:
                    kills += 1
                    _give_up_after(kills, item)
                elif death.certain or suspected:
                    error = VideoError(death.reason)
                    error.add_note(str(death))
                    raise error from None
                else:
                    # Once more, in a fresh process: was it the video itself?
                    suspected = True
        raise StoppedError

    def _attempt(self, item: Item) -> tuple[bytes, dict[str, Any]]:
        if self._child is None:
            self._child = _Child(self._limits, self._prepare)
            if self._stopped:  # just now, when there was no process to kill
                raise StoppedError
            self._child.wait_until_ready()
        answer = self._child.ask(item)
        if "unusable" in answer:
            raise UserError(answer["unusable"])
        if answer.get("starved"):
            bound = self._limits.max_memory
            raise _DeathError("too large", f"out of memory, --max_memory={bound} MB")
        if "reason" in answer:
            error = VideoError(answer["reason"], answer["declared"], answer["decoded"])
            if answer["detail"]:
                error.add_note(answer["detail"])
            raise error
        return self._child.record(), answer

    def _end(self) -> None:
        if self._child:
            self._child.end()
            self._child = None


def _give_up_after(kills: int, item: Item) -> None:
    if kills == KILLS:
        raise UserError(
            f"{item['id']}: its decoding process was killed {kills} times from "
            "outside, as happens when the machine's memory runs out; the same command "
            "continues, and fewer --workers or a lower --max_memory may help"
        )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start children deaf to Ctrl-C: their parent stops them itself."""
    # Left to the first start, it would let the signal through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """One process, and what it uses for the item at hand."""

    def __init__(self, limits: ProcessLimits, prepare: Prepare) -> None:
        self._limits = limits
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=decoder_process.serve,
            args=(theirs, prepare, limits.max_memory),
            daemon=True,
        )
        with _interrupts_held():
            self._process.start()
        # The last copy of their end must be theirs, for its death to be seen.
        theirs.close()
        self._usage: psutil.Process | None = None

    def kill(self) -> None:
        # Another thread may be closing it at this moment.
        with contextlib.suppress(ValueError, AttributeError):
            self._process.kill()

    def end(self) -> None:
        self.kill()
        self._process.join()
        self._process.close()
        self._connection.close()

    def wait_until_ready(self) -> None:
        """Wait for its imports.

        Raises:
            UserError: It cannot start.
        """
        try:
            self._connection.recv_bytes()
            self._usage = psutil.Process(self._process.pid)
        except (EOFError, OSError, psutil.Error):
            death = self._death()
            if death.reason is None:
                raise death from None
            raise UserError(
                "a decoding process must start. It ended before its first video: "
                f"{death}; what it wrote above says why"
            ) from None

    def ask(self, item: Item) -> dict[str, Any]:
        """Hand over an item and wait for what becomes of it.

        Raises:
            _DeathError: The process died or was ended for using too much.
        """
        start, last, asleep = self._cpu(), 0.0, 0.0
        try:
            self._connection.send_bytes(json.dumps(item).encode())
            while not self._connection.poll(TICK):
                spent = self._cpu() - start
                idle = spent == last and self._status() not in EXCUSED
                asleep, last = asleep + TICK if idle else 0.0, spent
                self._check(spent, asleep)
            return json.loads(self._connection.recv_bytes())
        except (EOFError, OSError, psutil.NoSuchProcess):
            raise self._death() from None

    def record(self) -> bytes:
        """Take the record that follows an answer."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            raise self._death() from None

    def _check(self, spent: float, asleep: float) -> None:
        limits = self._limits
        if spent > limits.max_cpu_seconds:
            detail = f"more than --max_cpu_seconds={limits.max_cpu_seconds:g}"
            raise _DeathError("timed out", detail, certain=True)
        if asleep > limits.stall_seconds:
            detail = f"asleep for more than --stall_seconds={limits.stall_seconds:g}"
            raise _DeathError("timed out", detail)
        usage = self._usage
        resident = usage.memory_info().rss if usage else 0
        if resident > limits.max_memory * decoder_process.MEGABYTE:
            detail = f"more than --max_memory={limits.max_memory} MB"
            raise _DeathError("too large", detail, certain=True)

    def _cpu(self) -> float:
        if self._usage is None:
            return 0.0
        times = self._usage.cpu_times()
        return times.user + times.system

    def _status(self) -> str:
        return self._usage.status() if self._usage else psutil.STATUS_RUNNING

    def _death(self) -> _DeathError:
        """Whose doing was the process's end?"""
        self._process.join(GRACE)
        if self._process.is_alive():
            return _DeathError("crashed", "the decoder closed its own connection")
        code = self._process.exitcode or 0
        if code < 0 and -code not in FAULTS:
            return _DeathError(None, f"killed by signal {-code}")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
        return _DeathError("crashed", f"the decoder ended with {how}")
