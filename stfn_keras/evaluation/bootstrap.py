"""How far accuracies of so many videos can be trusted (NumPy only).

    low, high = intervals(label, logits)["video_top1"]

Percentile bootstrap: the videos are drawn with replacement, as many as there are, and
the figures counted again. It says what other test videos of the same kind would change,
not what another training would. Videos of one group (one source) resemble each other,
which it does not know: with few groups the true interval is wider.
"""

import numpy as np

from stfn_keras.evaluation.metrics import ranks

LEVEL = 0.95
RESAMPLES = 2000
AT_ONCE = 100  # resamples, so that memory stays bounded


def intervals(
    label: np.ndarray,
    logits: np.ndarray,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The interval of each accuracy that `metrics.accuracies` gives.

    Args:
        label: int (N,).
        logits: (N, C).
        level: Share of the resamples inside.
        resamples: How often the videos are drawn.
        seed: Of the draws; the same seed gives the same intervals.

    Returns:
        Lower and upper end by name, 0..1. A class that a resample lacks is left out of
        its mean class accuracy.
    """
    found = resampled(label, logits, resamples, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {
        name: (float(low), float(high))
        for name, values in found.items()
        for low, high in [np.quantile(values, tails)]
    }


def resampled(
    label: np.ndarray, logits: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """The accuracies of each resample, float64 (resamples,) by name."""
    rank, videos = ranks(label, logits), len(label)
    _, compact = np.unique(label, return_inverse=True)  # classes that occur alone
    of_class = np.eye(compact.max() + 1)[compact]  # (N, classes that occur)
    right = of_class * (rank < 1)[:, None]
    draws = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, AT_ONCE):
        size = min(AT_ONCE, resamples - start)
        times = draws.multinomial(videos, np.full(videos, 1 / videos), size)  # (R, N)
        count, hits = times @ of_class, times @ right  # (R, classes that occur)
        share = np.divide(hits, count, out=np.full_like(hits, np.nan), where=count > 0)
        tops = [times @ (rank < k) / videos for k in (1, 5)]
        parts.append([*tops, np.nanmean(share, axis=1)])
    names = ("video_top1", "video_top5", "mean_class_accuracy")
    return {
        n: np.concatenate(p)
        for n, p in zip(names, zip(*parts, strict=True), strict=True)
    }
