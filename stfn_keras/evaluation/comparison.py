"""Networks side by side, and whether chance explains their difference.

    found = compare([Entry.read("runs/a"), Entry.read("runs/b")])
    print(as_markdown(found))

Each is compared with the first by McNemar's exact test on the same videos; with
several splits, on those of all splits together.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation import mcnemar
from stfn_keras.evaluation.bootstrap import LEVEL, resampled
from stfn_keras.evaluation.entries import Entry, align, check_splits, of_split
from stfn_keras.evaluation.metrics import accuracies, ranks
from stfn_keras.evaluation.scores import Scores


@dataclass(frozen=True)
class Against:
    """A network beside the first one.

    Attributes:
        better: Videos that it alone gets right.
        worse: Videos that the first alone gets right.
        p: Of McNemar's exact test, two-sided.
        p_holm: The same, corrected for as many comparisons.
    """

    better: int
    worse: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Compared:
    """One network's figures, in 0..1: means over its splits.

    Attributes:
        name: As it was given.
        splits: How many.
        videos: In all splits.
        video_top1: Share of the videos that are right.
        video_top1_interval: Its 95 % bootstrap interval.
        video_top5: Share with the class among the first five.
        mean_class_accuracy: Mean over the classes.
        mean_class_accuracy_interval: Its 95 % bootstrap interval.
        against_first: None of the first itself.
    """

    name: str
    splits: int
    videos: int
    video_top1: float
    video_top1_interval: tuple[float, float]
    video_top5: float
    mean_class_accuracy: float
    mean_class_accuracy_interval: tuple[float, float]
    against_first: Against | None = None


def compare(entries: Sequence[Entry]) -> list[Compared]:
    """The figures of each, and the comparison of each with the first.

    Raises:
        UserError: They are fewer than two, or not of the same splits, videos, labels
            and classes.
    """
    if len(entries) < 2:
        raise UserError(
            "expected two or more runs or score files to compare. Received: "
            f"{len(entries)}"
        )
    splits = range(check_splits(entries))
    aligned = [align(of_split(entries, split)) for split in splits]
    scores = [[of[i] for of in aligned] for i in range(len(entries))]  # by entry, split
    first, *others = (_right(of_entry) for of_entry in scores)
    counts = [mcnemar.discordant(other, first) for other in others]
    values = [mcnemar.exact(*count) for count in counts]
    tests: list[Against | None] = [None]
    tests += [
        Against(*count, p, p_holm)
        for count, p, p_holm in zip(counts, values, mcnemar.holm(values), strict=True)
    ]
    return [
        _figures(entry.name, of_entry, test)
        for entry, of_entry, test in zip(entries, scores, tests, strict=True)
    ]


def as_json(found: Sequence[Compared]) -> dict[str, Any]:
    """What `--json` prints: `compared`, a list in the order that was given."""
    return {"compared": [asdict(one) for one in found]}


def as_markdown(found: Sequence[Compared]) -> str:
    """The table as Markdown: per cent, intervals, and the test against the first."""
    lines = [
        f"{found[0].videos} videos in {found[0].splits} split(s); "
        f"{100 * LEVEL:.0f} % bootstrap intervals; tests are against the first.",
        "",
        "| | top-1, % | mean class, % | top-5, % | better | worse | p | p (Holm) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = [
            one.name.replace("|", "\\|"),
            _per_cent(one.video_top1, one.video_top1_interval),
            _per_cent(one.mean_class_accuracy, one.mean_class_accuracy_interval),
            f"{100 * one.video_top5:.1f}",
        ]
        if test := one.against_first:
            cells += [str(test.better), str(test.worse), f"{test.p:.2g}",
                      f"{test.p_holm:.2g}"]  # fmt: skip
        else:
            cells += [""] * 4
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _right(scores: Sequence[Scores]) -> np.ndarray:
    """Which videos of all splits are right, bool (N,)."""
    return np.concatenate([ranks(s.label, s.logits) < 1 for s in scores])


def _figures(name: str, scores: Sequence[Scores], test: Against | None) -> Compared:
    each = [accuracies(s.label, s.logits) for s in scores]
    mean = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
    # Splits are drawn apart: seeds of their own, then the mean of each resample.
    draws = [resampled(s.label, s.logits, seed=i) for i, s in enumerate(scores)]

    def interval(key: str) -> tuple[float, float]:
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        low, high = np.quantile(np.mean([d[key] for d in draws], axis=0), tails)
        return float(low), float(high)

    return Compared(
        name=name,
        splits=len(scores),
        videos=sum(len(s.label) for s in scores),
        video_top1=mean["video_top1"],
        video_top1_interval=interval("video_top1"),
        video_top5=mean["video_top5"],
        mean_class_accuracy=mean["mean_class_accuracy"],
        mean_class_accuracy_interval=interval("mean_class_accuracy"),
        against_first=test,
    )


def _per_cent(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
