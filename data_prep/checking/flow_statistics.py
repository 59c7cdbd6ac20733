"""How fast a dataset's stored flow is, and how much of it its code cuts off.

    histogram = FlowHistogram()
    histogram.add(codes)
    histogram.statistics(bound=20.0).mean  # pixels per frame

A table of all pairs of codes (u, v) holds every vector seen, so the figures are exact
and the memory is small, however many videos there are.
"""

from dataclasses import dataclass

import numpy as np

ZERO = 128  # the code of no motion
REACH = 127  # codes from ZERO to the bound

MUCH_SATURATED = 0.01
NEARLY_ALL_ZERO = 0.99


@dataclass(frozen=True)
class FlowStatistics:
    """Of all flow vectors seen.

    Attributes:
        pairs: Flow pairs seen.
        mean: Mean magnitude, pixels per frame.
        fast: Its 95th percentile.
        zero: Share of vectors that are exactly zero, 0-1.
        saturated: Share of vectors with a component at the bound, 0-1.
    """

    pairs: int
    mean: float
    fast: float
    zero: float
    saturated: float

    def warnings(self) -> list[str]:
        """What is suspicious, a sentence each."""
        found = []
        if self.saturated > MUCH_SATURATED:
            found.append(
                f"{self.saturated:.1%} of the vectors reach the bound and are cut "
                "off: a smaller --size, or videos of more frames per second, would "
                "keep them"
            )
        if self.zero > NEARLY_ALL_ZERO:
            found.append(
                f"{self.zero:.1%} of the vectors are exactly zero: are the videos "
                "still pictures, or frames that repeat?"
            )
        return found


class FlowHistogram:
    """Counts the codes of flow vectors."""

    def __init__(self) -> None:
        self._counts = np.zeros(256 * 256, np.int64)  # index: 256 u + v
        self._pairs = 0

    def add(self, codes: np.ndarray) -> None:
        """Count coded flow: uint8 (L, height, width, 2), 1-255."""
        index = codes[..., 0].astype(np.uint16) << 8 | codes[..., 1]
        self._counts += np.bincount(index.ravel(), minlength=len(self._counts))
        self._pairs += len(codes)

    def statistics(self, bound: float) -> FlowStatistics:
        """Sum up.

        Args:
            bound: The motion that the last code stands for, in pixels per frame.

        Raises:
            ValueError: Nothing was counted.
        """
        total = int(self._counts.sum())
        if not total:
            raise ValueError("expected flow to have been added. Received: none")
        counts = self._counts.reshape(256, 256)
        steps = np.arange(256) - ZERO
        speeds = np.hypot(steps[:, None], steps[None, :]) * (bound / REACH)
        order = np.argsort(speeds, axis=None)
        below = np.cumsum(self._counts[order])
        fast = speeds.ravel()[order[np.searchsorted(below, 0.95 * total)]]
        at_bound = np.abs(steps) >= REACH
        saturated = counts[at_bound[:, None] | at_bound[None, :]].sum()
        return FlowStatistics(
            pairs=self._pairs,
            mean=float((counts * speeds).sum() / total),
            fast=float(fast),
            zero=float(counts[ZERO, ZERO] / total),
            saturated=float(saturated / total),
        )
