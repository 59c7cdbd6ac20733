"""Accuracies of scored videos (NumPy only); all in 0..1."""

import numpy as np
import pandas as pd

from stfn_keras.evaluation.scoring import Scores


def ranks(label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """How many classes score higher than the true one; int64 (N,), 0 is right.

    A tie counts against the network unless the true class comes first.
    """
    true = logits[np.arange(len(label)), label][:, None]
    index = np.arange(logits.shape[1])[None, :]
    above = (logits > true) | ((logits == true) & (index < label[:, None]))
    return above.sum(axis=1)


def confusion(label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Counts by (true, predicted) class; int64 (C, C)."""
    classes = logits.shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (label, logits.argmax(axis=1)), 1)
    return counts


def mean_class_accuracy(label: np.ndarray, logits: np.ndarray) -> float:
    """Mean over the classes that occur of each one's accuracy (T: TSN)."""
    counts = confusion(label, logits)
    present = counts.sum(axis=1) > 0
    return float((np.diag(counts)[present] / counts.sum(axis=1)[present]).mean())


def summary(scores: Scores) -> dict[str, float | int]:
    """Video-level metrics: `videos`, `video_top1`, `video_top5`, and the class mean.

    `rgb_video_top1` and `flow_video_top1` are those of the two heads; behind fusion
    blocks each head has seen both streams.

    With fewer than five classes `video_top5` is 1 by definition.
    """
    rank = ranks(scores.label, scores.logits)
    found: dict[str, float | int] = {
        "videos": len(rank),
        "video_top1": float((rank < 1).mean()),
        "video_top5": float((rank < 5).mean()),
        "mean_class_accuracy": mean_class_accuracy(scores.label, scores.logits),
    }
    for name, logits in scores.streams.items():
        stream = name.removesuffix("_logits")
        found[f"{stream}_video_top1"] = float((ranks(scores.label, logits) < 1).mean())
    return found


def per_class(scores: Scores) -> pd.DataFrame:
    """One row per class: videos, accuracy (recall) and precision."""
    counts = confusion(scores.label, scores.logits)
    right, truth, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": scores.classes,
                "videos": truth,
                "accuracy": right / truth,
                "precision": right / said,
            }
        )


def predictions(scores: Scores) -> pd.DataFrame:
    """One row per video: id, label, predicted, score of both, right or not."""
    chances = scores.probabilities
    best = scores.logits.argmax(axis=1)
    rows = np.arange(len(best))
    return pd.DataFrame(
        {
            "video_id": scores.video_id,
            "label": scores.classes[scores.label],
            "predicted": scores.classes[best],
            "right": best == scores.label,
            "score": chances[rows, best],
            "score_of_label": chances[rows, scores.label],
        }
    )
