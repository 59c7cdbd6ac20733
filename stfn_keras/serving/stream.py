"""A stream of frames, recognised while it passes.

    report = recognise(play(Path("clip.avi")), network, settings, show)
    report.updates, report.dropped

In real time the network works beside the stream: frames are shown when they are due,
with the newest scores, and of segments that wait for the network the oldest are
dropped. Otherwise each segment is scored before the stream goes on, so that the same
file gives the same scores.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.playing import Timed
from stfn_keras.serving.sliding import Scored, SlidingNetwork

Snippet = list[np.ndarray]
# Seconds by which a frame may be late; of later ones few are shown, so as to catch up.
LATE = 0.1
_ROUNDING = 1e-6  # seconds; 3 x 0.1 is more than 0.3
SHOWN_OF_LATE = 8  # one in so many, so that people see that it goes on


@dataclass(frozen=True)
class StreamConfig:
    """How a stream is taken.

    Attributes:
        every: Seconds from a segment to the next.
        realtime: Whether the network works beside the stream.
        speed: How many times as fast a file is played; 0.0 for a source that comes at
            its own time, such as a camera.
        seconds: After how much of the stream to end; 0.0 for its end.
    """

    every: float = 0.5
    realtime: bool = True
    speed: float = 1.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.every <= 0.0 or self.speed < 0.0 or self.seconds < 0.0:
            raise UserError(
                "expected --every above 0, --speed and --seconds of 0 or more. "
                f"Received: {self.every:g}, {self.speed:g}, {self.seconds:g}"
            )


@dataclass
class StreamReport:
    """What became of a stream.

    Attributes:
        frames: That came.
        late: Of these, how many were not shown since they were late.
        updates: Segments scored.
        dropped: Segments that newer ones overtook while the network was busy.
        seconds: Each update took, from frames to scores.
        fault: Why the stream could not be read on, if it could not.
    """

    frames: int = 0
    late: int = 0
    updates: int = 0
    dropped: int = 0
    seconds: list[float] = field(default_factory=list)
    fault: str = ""

    def __str__(self) -> str:
        each = f", {1000 * np.median(self.seconds):.0f} ms each" if self.seconds else ""
        return (
            f"{self.frames} frames ({self.late} late), {self.updates} updates{each}, "
            f"{self.dropped} segments dropped"
        )


class Cutter:
    """Cuts snippets out of a stream, the newest frames each, at even times.

    Args:
        every: Seconds from a snippet to the next.
        reach: Frames in a row that a snippet takes.
    """

    def __init__(self, every: float, reach: int) -> None:
        self._every = every
        self._last: deque[np.ndarray] = deque(maxlen=reach)
        self._due = 0.0

    def add(self, seconds: float, frame: np.ndarray) -> Snippet | None:
        """Take the next frame; gives a snippet that ends with it, if one is due."""
        self._last.append(frame)
        full = len(self._last) == self._last.maxlen
        if not full or seconds < self._due - _ROUNDING:
            return None
        # The next is due on the grid of times, however long there was no frame.
        self._due = (int((seconds + _ROUNDING) / self._every) + 1) * self._every
        return list(self._last)


class Worker:
    """Scores snippets in a thread of its own; only the newest one waits for it.

    Args:
        network: What scores them.
        report: Counts updates and drops.
    """

    def __init__(self, network: SlidingNetwork, report: StreamReport) -> None:
        self._network = network
        self._report = report
        self._pool = ThreadPoolExecutor(1)
        self._busy: Future[Scored] | None = None
        self._waiting: Snippet | None = None
        self._newest: Scored | None = None

    def give(self, snippet: Snippet) -> None:
        """Have a snippet scored as soon as may be; one that waits is dropped."""
        if self._waiting is not None:
            self._report.dropped += 1
        self._waiting = snippet
        self.newest()

    def newest(self) -> Scored | None:
        """The scores known by now; what went wrong in the thread is raised here."""
        if self._busy is not None and self._busy.done():
            self._newest = self._busy.result()
            self._busy = None
        if self._busy is None and self._waiting is not None:
            snippet, self._waiting = self._waiting, None
            self._busy = self._pool.submit(_timed, self._network, snippet, self._report)
        return self._newest

    def close(self) -> None:
        """Wait for the update under way; one that waits still is left out."""
        self._pool.shutdown()


Show = Callable[[np.ndarray, float, Scored | None, StreamReport], bool]


def recognise(
    frames: Iterable[Timed],
    network: SlidingNetwork,
    config: StreamConfig,
    show: Show,
) -> StreamReport:
    """Score a stream until its end, its time's end, Ctrl-C, or `show` has enough.

    A stream that breaks off ends there, and the report says why.

    Args:
        frames: Their seconds since the first, and uint8 RGB (height, width, 3).
        network: What scores them.
        config: How.
        show: Called with each frame that is not late, its seconds, the newest scores
            (None before the first) and the report so far; False ends the stream.

    Raises:
        UserError: The stream does not even begin.
    """
    network.warm_up()
    report = StreamReport()
    cutter = Cutter(config.every, network.reach)
    worker = Worker(network, report) if config.realtime else None
    newest: Scored | None = None
    begun = time.monotonic()
    try:
        for seconds, frame in frames:
            if config.seconds and seconds >= config.seconds:
                break
            report.frames += 1
            lag = _wait(begun, seconds, config)
            snippet = cutter.add(seconds, frame)
            if worker is None and snippet:
                newest = _timed(network, snippet, report)
            elif worker is not None:
                if snippet:
                    worker.give(snippet)
                newest = worker.newest()
            if lag > LATE and report.frames % SHOWN_OF_LATE:
                report.late += 1
            elif not show(frame, seconds, newest, report):
                break
        else:
            if 0 < report.frames < network.reach:
                report.fault = (
                    f"a segment takes {network.reach} frames in a row. Received a "
                    f"stream of {report.frames}; predict.py takes short videos too"
                )
    except UserError as error:
        if not report.frames:
            raise
        report.fault = str(error)
    except KeyboardInterrupt:
        pass
    finally:
        if worker is not None:
            worker.close()
    return report


def _wait(begun: float, seconds: float, config: StreamConfig) -> float:
    """Wait until a frame is due; gives the seconds by which it is late."""
    if not (config.realtime and config.speed):
        return 0.0
    early = begun + seconds / config.speed - time.monotonic()
    if early > 0.0:
        time.sleep(early)
    return -early


def _timed(network: SlidingNetwork, snippet: Snippet, report: StreamReport) -> Scored:
    began = time.perf_counter()
    scored = network.update(snippet)
    report.seconds.append(time.perf_counter() - began)
    report.updates += 1
    return scored
