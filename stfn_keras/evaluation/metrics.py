"""Accuracies of scored videos (NumPy only); all in 0..1.

summary(scores)["video_top1"]
per_class(scores)  # recall, precision, F1 by class
"""

import numpy as np
import pandas as pd

from stfn_keras.evaluation.calibration import expected_error
from stfn_keras.evaluation.scores import Scores


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


def accuracies(label: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """`video_top1`, `video_top5` and `mean_class_accuracy`.

    With fewer than five classes `video_top5` is 1 by definition.
    """
    rank = ranks(label, logits)
    return {
        "video_top1": float((rank < 1).mean()),
        "video_top5": float((rank < 5).mean()),
        "mean_class_accuracy": mean_class_accuracy(label, logits),
    }


def summary(scores: Scores) -> dict[str, float | int]:
    """What is said of all videos together: `videos`, the accuracies and more.

    - `view_top1`: the share of single views that are right, where they are known;
    - `macro_f1`: the mean F1 of the classes that occur;
    - `ece`: the expected calibration error of the softmax scores;
    - `rgb_video_top1`, `flow_video_top1` and so on: of each stream's own head, where
      there are several; behind fusion blocks each has seen both streams.
    """
    found: dict[str, float | int] = {"videos": len(scores.label)}
    found |= accuracies(scores.label, scores.logits)
    if scores.view_right is not None:
        found["view_top1"] = float(scores.view_right.mean())
    table = per_class(scores)
    found["macro_f1"] = float(table["f1"][table["videos"] > 0].mean())
    found["ece"] = expected_error(scores.label, scores.probabilities)
    for name, logits in scores.streams.items():
        stream = name.removesuffix("_logits")
        found[f"{stream}_video_top1"] = float((ranks(scores.label, logits) < 1).mean())
    return found


def per_class(scores: Scores) -> pd.DataFrame:
    """One row per class: videos, recall (its accuracy), precision and F1.

    NaN where there is nothing to divide by: no video of the class, none predicted.
    """
    counts = confusion(scores.label, scores.logits)
    right, truth, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": scores.classes,
                "videos": truth,
                "recall": right / truth,
                "precision": right / said,
                "f1": 2 * right / (truth + said),
            }
        )


def confused_pairs(scores: Scores) -> pd.DataFrame:
    """Pairs of classes by how many videos of the one were taken for the other.

    Returns:
        A line for each (label, predicted) that occurs, `videos` and the `share` of
        the label's, most first; of equal counts the greater share, then by class.
    """
    counts = confusion(scores.label, scores.logits)
    truth = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    rows, columns = np.nonzero(counts)
    videos = counts[rows, columns]
    share = videos / truth[rows]
    order = np.lexsort((columns, rows, -share, -videos))
    return pd.DataFrame(
        {
            "label": scores.classes[rows],
            "predicted": scores.classes[columns],
            "videos": videos,
            "share": share,
        }
    ).iloc[order].reset_index(drop=True)  # fmt: skip


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
