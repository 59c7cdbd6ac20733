"""When frames are shown: by their time stamps, or by their number.

    clock = Clock(rate=25.0, unit=stream.time_base)
    for frame in frames:
        clock.tick(frame.pts)  # seconds since the first frame
    clock.seconds()  # of every frame

Time stamps are used where every frame has one and each is later than the one
before. AVI files with B-frames have none that say when a frame is shown; there
frames are taken to follow each other at the header's rate.
"""

from array import array
from fractions import Fraction

import numpy as np


class Clock:
    """The time of each frame, collected while the frames pass.

    Args:
        rate: Frames per second by the header; 0.0 if unknown.
        unit: Seconds of a time stamp's unit.

    Attributes:
        stamped: Whether all time stamps so far can be used.
    """

    def __init__(self, rate: float, unit: Fraction) -> None:
        self._rate = rate
        self._unit = unit
        # Units since the first stamp: whole numbers, so that a segment's end falls
        # exactly on a frame.
        self._stamps = array("q")
        self._origin = 0
        self._frames = 0
        self.stamped = True

    @property
    def first(self) -> float:
        """The first frame's time stamp in seconds; 0.0 if it has none."""
        return float(self._origin * self._unit)

    def tick(self, stamp: int | None) -> float | None:
        """Take the next frame's time stamp, None if it has none.

        Returns:
            Seconds since the first frame; None if nothing tells.
        """
        index, self._frames = self._frames, self._frames + 1
        if not index:
            self._origin = stamp or 0
        if stamp is None or (self._stamps and stamp - self._origin <= self._stamps[-1]):
            self.stamped = False
        if self.stamped and stamp is not None:
            self._stamps.append(stamp - self._origin)
            return self._stamps[-1] * self._unit.numerator / self._unit.denominator
        return index / self._rate if self._rate else None

    def seconds(self) -> np.ndarray | None:
        """Seconds since the first frame, float64 (frames,); None if nothing tells."""
        if self.stamped:
            stamps = np.array(self._stamps, np.float64)
            return stamps * self._unit.numerator / self._unit.denominator
        return np.arange(self._frames) / self._rate if self._rate else None


def is_even(seconds: np.ndarray) -> bool:
    """Whether frames keep within half an interval of an even grid.

    Args:
        seconds: float64 (frames,), increasing.
    """
    if len(seconds) < 3:
        return True
    grid = np.linspace(seconds[0], seconds[-1], len(seconds))
    return bool(np.abs(seconds - grid).max() <= interval(seconds) / 2)


def interval(seconds: np.ndarray) -> float:
    """Mean time from a frame to the next, in seconds; 0.0 for a single frame."""
    return float(seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1)


def mean_rate(seconds: np.ndarray, declared: float) -> float:
    """Frames per second by time stamps.

    Args:
        seconds: float64 (frames,), increasing.
        declared: The header's rate, which is exact where it agrees with the stamps
            to half a frame; 0.0 if unknown.
    """
    if len(seconds) < 2:
        return declared
    frames, span = len(seconds) - 1, float(seconds[-1] - seconds[0])
    if declared and abs(span * declared - frames) <= 0.5:
        return declared
    return frames / span
