"""Hold out a part of the training groups, to validate on while training.

    parts = split_training(folder, split=1, folds=5, fold=1)
    parts.train, parts.validation  # video ids; no group is in both

The test videos are never touched: choosing an epoch on them would flatter a result.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.data.index import Indexed, read_index
from stfn_keras.errors import UserError


@dataclass(frozen=True)
class TrainingParts:
    """Ids of the training videos that are trained on, and of those held out."""

    train: frozenset[str]
    validation: frozenset[str]


def training_videos(folder: Path, split: int) -> list[Indexed]:
    """The videos that train a split (counted from 1), from the dataset's index."""
    return [row for row in read_index(folder) if row.roles[split - 1] == "r"]


def split_training(folder: Path, split: int, folds: int, fold: int) -> TrainingParts:
    """Hold out the groups of one of several parts.

    Groups are dealt out class by class in an order that their names' SHA-256 fixes,
    so the parts are the same on every machine and nearly equal for each class. A
    group with several classes is dealt out with its first one.

    Args:
        folder: The dataset.
        split: From 1.
        folds: Parts K of the training groups.
        fold: The part that is held out, 1 to K.

    Raises:
        UserError: There are fewer groups than parts, or the part has all of a class.
    """
    videos = training_videos(folder, split)
    classes: dict[str, str] = {}
    for video in sorted(videos, key=lambda v: (v.label, v.path)):
        classes.setdefault(video.group, video.label)
    if len(classes) < folds:
        raise UserError(
            f"--folds={folds} needs as many groups of training videos. Received: "
            f"{len(classes)} groups in split {split} of {folder}"
        )

    def place(group: str) -> tuple[str, str]:
        name = group.encode("utf-8", "surrogateescape")
        return classes[group], hashlib.sha256(name).hexdigest()

    dealt = sorted(classes, key=place)[fold - 1 :: folds]
    held = frozenset(dealt)
    for label in set(classes.values()) - {
        label for group, label in classes.items() if group not in held
    }:
        raise UserError(
            f"--folds={folds} --fold={fold} holds out every group of {label!r}: give "
            "another --fold, fewer --folds, or the class more groups"
        )
    return TrainingParts(
        train=frozenset(v.path for v in videos if v.group not in held),
        validation=frozenset(v.path for v in videos if v.group in held),
    )


def balanced_weights(
    videos: list[Indexed], labels: tuple[str, ...]
) -> tuple[float, ...]:
    """A weight for each class, so that all classes weigh alike: N / (C * n).

    N videos, n of the class, C classes that occur; 0 for a class without a video.
    """
    counts = Counter(video.label for video in videos)
    return tuple(
        len(videos) / (len(counts) * counts[label]) if counts[label] else 0.0
        for label in labels
    )
