"""Is a network as often right as it is sure (NumPy only)?

    bins = reliability(label, probabilities)  # what a reliability plot shows
    error = expected_error(label, probabilities)

Videos are put into bins by the score of their predicted class (T: Guo et al., "On
Calibration of Modern Neural Networks", 2017: 15 bins of equal width).
"""

import numpy as np
import pandas as pd

BINS = 15


def reliability(
    label: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Confidence and accuracy by bin.

    Args:
        label: int (N,).
        probabilities: (N, C), a video's sum to 1.
        bins: Bins of equal width; a bin holds its upper edge.

    Returns:
        A row per bin: `low`, `high`, `videos`, and the means `confidence` and
        `accuracy`, NaN in an empty bin.
    """
    sure, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    videos = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "videos": videos,
                "confidence": np.bincount(place, sure, bins) / videos,
                "accuracy": np.bincount(place, best == label, bins) / videos,
            }
        )


def expected_error(label: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error: |accuracy - confidence|, mean over videos."""
    table = reliability(label, probabilities)
    gaps = (table["accuracy"] - table["confidence"]).abs() * table["videos"]
    return float(gaps.sum() / table["videos"].sum())
