"""Scores without a network, for tests of what is done with them."""

import numpy as np

from stfn_keras.evaluation.scores import Scores


def made_up(
    videos: int = 40, classes: int = 6, seed: int = 0, sure: float = 1.5
) -> Scores:
    """Scores that are right more often the surer they are."""
    draws = np.random.default_rng(seed)
    label = np.arange(videos) % classes
    logits = np.random.default_rng(seed + 100).normal(size=(videos, classes))
    logits[np.arange(videos), label] += sure * draws.random(videos)
    return Scores(
        video_id=np.array([f"v{i:03d}.avi" for i in range(videos)]),
        label=label,
        logits=logits.astype(np.float32),
        classes=np.array([f"class {i}" for i in range(classes)]),
    )


def reordered(scores: Scores, seed: int = 1) -> Scores:
    """The same scores with videos and classes in another order."""
    draws = np.random.default_rng(seed)
    rows = draws.permutation(len(scores.label))
    columns = draws.permutation(len(scores.classes))
    place = np.argsort(columns)
    return Scores(
        scores.video_id[rows],
        place[scores.label[rows]],
        scores.logits[np.ix_(rows, columns)],
        scores.classes[columns],
    )


def write_csv(scores: Scores, path, by_name: bool = True) -> None:
    """Write the table that `read_table` reads."""
    lines = ["id,label," + ",".join(scores.classes)]
    for video, label, row in zip(
        scores.video_id, scores.label, scores.logits, strict=True
    ):
        said = scores.classes[label] if by_name else label
        lines.append(f"{video},{said}," + ",".join(f"{x:.9g}" for x in row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
