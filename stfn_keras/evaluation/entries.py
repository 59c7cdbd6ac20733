"""What `fuse` and `compare` are given: score files, runs, and their splits.

    entry = Entry.read("runs/ucf101")       # a folder of train.py --splits
    entry = Entry.read("s1.npz,s2.csv")     # a file per split
    entry = Entry.read("runs/x")            # a run: its report's scores.npz
    check_splits(entries)
    align({"A": scores, "B": others})       # by id, never by order

A file is read as a table of CSV if its name ends so, else as `scores.npz`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation.score_table import read_table
from stfn_keras.evaluation.scores import Scores

TEST, VALIDATION = "report", "report-validation"  # folders inside a run


@dataclass(frozen=True)
class Entry:
    """One network's scores, or another program's, on one or several splits.

    Attributes:
        name: As it was given.
        splits: Scores in the order of the splits.
        paths: Where each split's lie.
    """

    name: str
    splits: tuple[Scores, ...]
    paths: tuple[Path, ...]

    @classmethod
    def read(cls, text: str, seed: int = 0, report: str = TEST) -> "Entry":
        """Read what a user named.

        Args:
            text: A score file, a report or a run directory, a folder with runs
                `split<N>-seed<N>`, or several of these with commas, one per split.
            seed: Which runs of a folder with several seeds.
            report: The run's folder that holds the scores.

        Raises:
            UserError: There are no such scores, or a file is damaged.
        """
        parts = [text] if Path(text).exists() else text.split(",")
        paths = [p for part in parts for p in _score_files(Path(part), seed, report)]
        return cls(text, tuple(read_scores(path) for path in paths), tuple(paths))


def read_scores(path: Path) -> Scores:
    """Read `scores.npz`, or a table in CSV.

    Raises:
        UserError: It is neither, or damaged.
    """
    return read_table(path) if path.suffix.lower() == ".csv" else Scores.load(path)


def runs_of_splits(folder: Path, seed: int = 0) -> list[Path]:
    """The runs that `train.py --splits` left in a folder, by split; empty if none.

    Raises:
        UserError: There are runs of other seeds alone.
    """
    named = re.compile(r"split(\d+)-seed(\d+)")
    found: dict[int, dict[int, Path]] = {}
    for run in folder.iterdir():
        if match := named.fullmatch(run.name):
            found.setdefault(int(match[1]), {})[int(match[2])] = run
    for split, seeds in found.items():
        if seed not in seeds:
            raise UserError(
                f"{folder} holds split {split} with --seed "
                f"{' or '.join(map(str, sorted(seeds)))}. Received: --seed={seed}"
            )
    return [found[split][seed] for split in sorted(found)]


def _score_files(path: Path, seed: int, report: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    if (path / "scores.npz").is_file():
        return [path / "scores.npz"]
    runs = [path] if (path / "config.json").is_file() else runs_of_splits(path, seed)
    files = [run / report / "scores.npz" for run in runs]
    for run, file in zip(runs, files, strict=True):
        if not file.is_file():
            videos = " --videos=validation" if report == VALIDATION else ""
            raise UserError(
                f"expected scores: {file} does not exist; make them with "
                f"`python evaluate.py --run {run}{videos}`"
            )
    if not files:
        raise UserError(
            f"expected a score file, a run, or a folder of train.py --splits: {path} "
            "holds neither scores.npz, nor config.json, nor split<N>-seed<N>"
        )
    return files


def check_splits(entries: Sequence[Entry]) -> int:
    """How many splits there are.

    Raises:
        UserError: One has another number of them than the first.
    """
    count = len(entries[0].splits)
    for entry in entries[1:]:
        if len(entry.splits) != count:
            raise UserError(
                f"expected as many splits of each: {entries[0].name} has {count}. "
                f"Received: {len(entry.splits)} of {entry.name}"
            )
    return count


def of_split(entries: Sequence[Entry], split: int) -> dict[str, Scores]:
    """Scores of one split, counted from 0, by the file they are from, for `align`.

    The same file may occur twice.
    """
    named: dict[str, Scores] = {}
    for entry in entries:
        name = str(entry.paths[split])
        while name in named:
            name += " (again)"
        named[name] = entry.splits[split]
    return named


def align(named: Mapping[str, Scores]) -> list[Scores]:
    """Bring several scores of the same videos into the first one's order.

    Videos are matched by id and classes by name; their order may differ.

    Args:
        named: Scores by the name that errors give them.

    Raises:
        UserError: One lacks a video or a class that another has, or gives a video
            another label. It names the first.
    """
    (first, reference), *others = named.items()
    return [reference] + [
        _aligned(first, reference, name, scores) for name, scores in others
    ]


def _aligned(first: str, reference: Scores, name: str, scores: Scores) -> Scores:
    columns = _places("class", first, reference.classes, name, scores.classes)
    rows = _places("video", first, reference.video_id, name, scores.video_id)
    labels = scores.classes[scores.label[rows]]
    expected = reference.classes[reference.label]
    if (labels != expected).any():
        at = int((labels != expected).argmax())
        video, wanted, said = (
            str(values[at]) for values in (reference.video_id, expected, labels)
        )
        raise UserError(
            f"expected the same labels: {first} says {wanted!r} of {video!r}. "
            f"Received: {said!r} in {name}"
        )

    def moved(logits: np.ndarray) -> np.ndarray:
        return logits[np.ix_(rows, columns)]

    return replace(
        scores,
        video_id=reference.video_id,
        label=reference.label,
        logits=moved(scores.logits),
        classes=reference.classes,
        streams={stream: moved(logits) for stream, logits in scores.streams.items()},
        view_right=None if scores.view_right is None else scores.view_right[rows],
    )


def _places(
    what: str, first: str, wanted: np.ndarray, name: str, have: np.ndarray
) -> np.ndarray:
    """Where each of `wanted` is in `have`, int64 (len(wanted),)."""
    lacking = np.setdiff1d(wanted, have)
    extra = np.setdiff1d(have, wanted)
    for missing, there, where in ((lacking, first, name), (extra, name, first)):
        if len(missing):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            many = {"class": "classes", "video": "videos"}[what]
            raise UserError(
                f"expected the same {many}: {there} has {str(missing[0])!r}{more}. "
                f"Received: none of it in {where}"
            )
    order = np.argsort(have, kind="stable")
    return order[np.searchsorted(have, wanted, sorter=order)]
