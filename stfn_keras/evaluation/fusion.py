"""Fuse the scores of several networks, and of other programs, video by video.

    fused = fuse([rgb, flow, mifs], weights=(1, 1.5, 0.5), on="logits")
    weights = search([rgb_validation, flow_validation], on="logits")

`logits` adds what the networks gave; `softmax` adds probabilities; `l2` adds each
video's scores brought to length 1, for scores of unlike scale such as an SVM's
(T: ActionVLAD).
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation.metrics import ranks
from stfn_keras.evaluation.scores import Scores, softmax

ON = ("logits", "softmax", "l2")
FINEST, MOST_TRIED = 20, 2000


def check_weights(weights: Sequence[float], entries: int) -> None:
    """Refuse weights that do not fit.

    Raises:
        UserError: There is not one for each, one is negative or not finite, or all
            are 0.
    """
    fits = len(weights) == entries and all(0 <= w < math.inf for w in weights)
    if not fits or not sum(weights):
        raise UserError(
            f"--weights must be {entries} numbers from 0 on, one for each of what is "
            f"fused, not all 0. Received: {','.join(f'{w:g}' for w in weights)}"
        )


def parts(aligned: Sequence[Scores], on: str) -> np.ndarray:
    """What is added, float64 (entries, N, C)."""
    logits = np.stack([scores.logits for scores in aligned]).astype(np.float64)
    if on == "softmax":
        return softmax(logits)
    if on == "l2":
        lengths = np.linalg.norm(logits, axis=-1, keepdims=True)
        return np.divide(logits, lengths, out=logits, where=lengths > 0)
    return logits


def fuse(aligned: Sequence[Scores], weights: Sequence[float], on: str) -> Scores:
    """The weighted mean of scores of the same videos and classes.

    Args:
        aligned: By `entries.align`.
        weights: One each; only their ratios count.
        on: One of `ON`.

    Returns:
        Scores whose `logits` are the mean; of `softmax` its logarithm, so that their
        softmax is the mean of the probabilities.

    Raises:
        UserError: The weights do not fit.
    """
    check_weights(weights, len(aligned))
    mean = np.tensordot(normed(weights), parts(aligned, on), axes=1)  # (N, C)
    if on == "softmax":
        mean = np.log(np.maximum(mean, np.finfo(np.float32).tiny))
    first = aligned[0]
    return Scores(first.video_id, first.label, mean.astype(np.float32), first.classes)


def normed(weights: Sequence[float]) -> np.ndarray:
    """The weights with the sum 1."""
    values = np.asarray(weights, np.float64)
    return values / values.sum()


def search(aligned: Sequence[Scores], on: str) -> tuple[float, ...]:
    """The weights, of sum 1, with the best top-1 on these videos.

    A grid over all mixtures, in steps of 1/20 for two or three entries and coarser
    for more; of equally good ones the nearest to equal weights.

    Args:
        aligned: Scores of validation videos; never of those that are reported.
        on: One of `ON`.
    """
    added, label = parts(aligned, on), aligned[0].label
    equal = 1 / len(aligned)

    def worth(weights: tuple[float, ...]) -> tuple[int, float]:
        mean = np.tensordot(weights, added, axes=1)
        right = int((ranks(label, mean) < 1).sum())
        return right, -round(sum((w - equal) ** 2 for w in weights), 9)

    return max(mixtures(len(aligned)), key=worth)


def mixtures(entries: int) -> Iterator[tuple[float, ...]]:
    """Every mixture of so many entries, in equal steps; 2,000 at most."""
    steps = FINEST
    while steps > 1 and math.comb(steps + entries - 1, entries - 1) > MOST_TRIED:
        steps -= 1
    for bars in itertools.combinations(range(steps + entries - 1), entries - 1):
        edges = (-1, *bars, steps + entries - 1)
        yield tuple((b - a - 1) / steps for a, b in itertools.pairwise(edges))


def check_apart(validation: Scores, test: Scores, name: str) -> None:
    """Refuse a weight search on videos that are reported.

    Raises:
        UserError: A video is among both.
    """
    both = np.intersect1d(validation.video_id, test.video_id)
    if len(both):
        raise UserError(
            "weights must be searched on videos that are not tested: of "
            f"`evaluate.py --videos=validation`. Received: {name}, which holds "
            f"{str(both[0])!r}, a test video"
        )
