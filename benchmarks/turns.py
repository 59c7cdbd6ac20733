"""Ways of doing the same, timed by turns in one run: load from outside hits them alike.

    turns = Turns()
    with turns("loop"):
        ...
    with turns("bare"):
        ...
    print(turns.compared("loop", "bare"))

A way that needs cores, devices or a Python of its own is a child process that calls
`serve(step)`, and `Child` on this side. Only the standard library is imported.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Turns:
    """Wall and CPU seconds of each way, a pair for each of its turns."""

    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a turn of this process, all of its threads."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.add(name, time.perf_counter() - wall, time.process_time() - cpu)

    def add(self, name: str, wall: float, cpu: float) -> None:
        """Add a turn that was timed elsewhere."""
        self.times.setdefault(name, []).append((wall, cpu))

    def ratio(self, one: str, other: str, of: int = 0) -> float:
        """Median of the ratios of the two ways' turns; of wall 0, of CPU seconds 1."""
        pairs = zip(self.times[one], self.times[other], strict=False)
        return statistics.median(a[of] / b[of] for a, b in pairs)

    def compared(self, one: str, other: str) -> str:
        """A line with the ratios of one way's times to the other's."""
        pairs = zip(self.times[one], self.times[other], strict=False)
        each = sorted(a[0] / b[0] for a, b in pairs)
        return (
            f"{one} / {other}: {self.ratio(one, other):.3f} wall, "
            f"{self.ratio(one, other, 1):.3f} CPU seconds; middle half of "
            f"{len(each)} turns, wall: "
            f"{each[len(each) // 4]:.3f} to {each[-1 - len(each) // 4]:.3f}"
        )

    def lines(self) -> Iterator[str]:
        """Median seconds of each way: they say little about another run."""
        for name, times in self.times.items():
            wall, cpu = (
                statistics.median(column) for column in zip(*times, strict=True)
            )
            yield f"{name:<28} {wall:8.4f} s wall, {cpu:8.4f} s CPU, {len(times)} turns"


class Child:
    """A process that takes a turn when it is asked.

    Args:
        command: What to run; it calls `serve`.
        cores: The cores that it may use; None for all.
        environment: Variables besides this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        cores: set[int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        before = os.sched_getaffinity(0)
        if cores is not None:
            os.sched_setaffinity(0, cores)  # a child inherits it, and its threads
        try:
            self._process = subprocess.Popen(  # noqa: S603
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        finally:
            os.sched_setaffinity(0, before)

    def turn(self) -> tuple[float, float]:
        """Wall and CPU seconds of a step there, after those that warmed it up."""
        print("go", file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("took "):
                wall, cpu = line.split()[1:]
                return float(wall), float(cpu)
        raise RuntimeError(f"the child process ended with {self._process.wait()}")

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def serve(step: Callable[[], object], warmups: int = 2) -> None:
    """Do a step for every line of standard input, and print how long it took."""
    for _ in range(warmups):
        step()
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        print("took", time.perf_counter() - wall, time.process_time() - cpu, flush=True)
