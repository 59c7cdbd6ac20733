"""McNemar's test: are two networks' mistakes on the same videos different ones?

    p = exact(only_first=12, only_second=3)
    p = over_seeds([exact(*discordant(ours, theirs)) for ours, theirs in pairs])

Videos that both networks get right, or both wrong, say nothing. Of the others, if
the networks were equally good, each would go either way as a fair coin does.
"""

import math
from collections.abc import Sequence

import numpy as np


def discordant(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """How many videos only the first, and only the second, gets right.

    Args:
        first: Whether each video is right, bool (N,).
        second: The same videos by the other network, bool (N,).
    """
    return int((first & ~second).sum()), int((second & ~first).sum())


def exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value of the exact binomial test, 0..1; 1 without discordance."""
    tosses = only_first + only_second
    fewer = min(only_first, only_second)
    ways, total = 1, 1
    for heads in range(1, fewer + 1):
        ways = ways * (tosses - heads + 1) // heads
        total += ways
    return min(1.0, 2 * total / 2**tosses)


def over_seeds(values: Sequence[float]) -> float:
    """One p-value from those of several seeds, however they depend on each other.

    The same videos are behind every seed's p-value, so they must not be multiplied.
    The k-th smallest of n, times n / k, is a valid p-value under any dependence
    (T: Rueger, 1978); k is taken in the middle, the upper of two.
    """
    middle = len(values) // 2 + 1
    return min(1.0, sorted(values)[middle - 1] * len(values) / middle)


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for as many comparisons, in their order (T: Holm, 1979).

    NaN, where nothing was compared, stays and does not count.
    """
    order = sorted((v, i) for i, v in enumerate(values) if not math.isnan(v))
    adjusted, highest = list(values), 0.0
    for rank, (value, index) in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - rank)))
        adjusted[index] = highest
    return adjusted
