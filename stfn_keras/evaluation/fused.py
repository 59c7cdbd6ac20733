"""Fuse what a user named, split by split, and say how good it is.

found = fuse_splits([Entry.read(a), Entry.read(b)], "logits", (1, 1.5))
found.flat()["video_top1"]  # the mean over the splits
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation.bootstrap import intervals
from stfn_keras.evaluation.entries import Entry, align, check_splits, of_split
from stfn_keras.evaluation.fusion import check_apart, fuse, normed, search
from stfn_keras.evaluation.metrics import accuracies
from stfn_keras.evaluation.scores import Scores
from stfn_keras.evaluation.stacked_svm import svm_fused


@dataclass(frozen=True)
class Fused:
    """Fused scores by split.

    Attributes:
        names: What was fused.
        scores: Of each split.
        weights: Of each split, their sum 1; none where an SVM fuses.
        searched: Whether the weights were searched.
    """

    names: tuple[str, ...]
    scores: tuple[Scores, ...]
    weights: tuple[tuple[float, ...], ...]
    searched: bool

    def flat(self) -> dict[str, float]:
        """The accuracies, means over the splits; all in 0..1.

        With several splits `split1_video_top1` and so on besides, numbered in the
        order they were given; with a search the weights, `weight1` and so on.
        """
        each = [accuracies(s.label, s.logits) for s in self.scores]
        found = {name: float(np.mean([e[name] for e in each])) for name in each[0]}
        several = len(each) > 1
        for split, (one, weights) in enumerate(zip(each, self.weights, strict=True), 1):
            prefix = f"split{split}_" if several else ""
            if several:
                found |= {prefix + name: value for name, value in one.items()}
            if self.searched:
                numbered = enumerate(weights, 1)
                found |= {f"{prefix}weight{number}": w for number, w in numbered}
        return found

    def text(self) -> str:
        """The same for people, with the intervals of the videos' bootstrap."""
        lines, found = [], self.flat()
        for split, scores in enumerate(self.scores, 1):
            prefix = f"split{split}_" if len(self.scores) > 1 else ""
            weights = self.weights[split - 1]
            for weight, name in zip(weights, self.names, strict=bool(weights)):
                lines.append(f"weight               {weight:.3f} {name}")
            if not weights:
                lines.append(f"fused by an SVM      {', '.join(self.names)}")
            lines.append(f"videos               {len(scores.label)}")
            for name, (low, high) in intervals(scores.label, scores.logits).items():
                lines.append(
                    f"{prefix + name:<27}{100 * found[prefix + name]:6.2f} %   "
                    f"(95 %: {100 * low:.1f} to {100 * high:.1f})"
                )
        if len(self.scores) > 1:
            lines.append(f"mean over {len(self.scores)} splits")
            for name in ("video_top1", "video_top5", "mean_class_accuracy"):
                lines.append(f"{name:<27}{100 * found[name]:6.2f} %")
        return "\n".join(lines)


def fuse_splits(
    entries: Sequence[Entry],
    on: str,
    weights: Sequence[float],
    validation: Sequence[Entry] | None = None,
    svm: bool = False,
) -> Fused:
    """Fuse every split.

    Args:
        entries: What is fused.
        on: See `fusion.fuse`.
        weights: One for each entry; not used where they are searched.
        validation: The entries' scores of validation videos: each split's weights are
            those that are best on its own validation videos.
        svm: Fit an SVM on the validation videos; neither `on` nor weights count.

    Raises:
        UserError: The entries do not fit each other (`align`), the weights do not fit
            them, or a validation video is a test video.
    """
    splits = check_splits(entries)
    if validation and check_splits(validation) != splits:
        raise UserError(
            f"expected validation scores of {splits} split(s). Received: of "
            f"{len(validation[0].splits)}"
        )
    scores: list[Scores] = []
    used: list[tuple[float, ...]] = []
    for split in range(splits):
        tested = align(of_split(entries, split))
        chosen = tuple(weights)
        if validation:
            named = of_split(validation, split)
            for name, held in named.items():
                check_apart(held, tested[0], name)
            if svm:
                scores.append(svm_fused(align(named), tested))
                used.append(())
                continue
            chosen = search(align(named), on)
        scores.append(fuse(tested, chosen, on))
        used.append(tuple(normed(chosen).tolist()))
    names = tuple(entry.name for entry in entries)
    return Fused(names, tuple(scores), tuple(used), bool(validation) and not svm)
