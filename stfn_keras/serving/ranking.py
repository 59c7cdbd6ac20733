"""The best classes of one video's scores.

best_classes(("fall", "rise"), np.array([0.2, 0.8]), 1)  # [("rise", 0.8)]
"""

from collections.abc import Sequence

import numpy as np


def best_classes(
    labels: Sequence[str], scores: np.ndarray, count: int
) -> list[tuple[str, float]]:
    """The best classes and their scores, best first; equal ones in their order.

    Args:
        labels: The classes, in the order of the scores.
        scores: float32 (C,).
        count: How many, at most.
    """
    order = np.argsort(-scores, kind="stable")[:count]
    return [(labels[i], float(scores[i])) for i in order]
