"""Scores as a table in CSV, for other programs' results: id, label, a score per class.

    id,label,Archery,Biking
    v_Archery_g01_c01.avi,Archery,4.2,-1.3

    scores = read_table(Path("mifs.csv"))

The header names the classes. Labels are their names; where no label of the file is one,
all are places in the header's list, from 0.
"""

import csv
from pathlib import Path

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation.scores import Scores, checked

HEAD = ["id", "label"]


def read_table(path: Path) -> Scores:
    """Read a table of scores.

    Raises:
        UserError: It is no such table: the header is another, a line is shorter or
            longer, a score is no finite number, a label is no class, or as of
            `Scores.load`.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            _check_head(path, head)
            lines = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"expected scores in CSV: {path} ({said})") from error
    if not lines:
        raise UserError(f"{path} must have a line per video. Received: a header alone")
    logits = np.empty((len(lines), len(head) - len(HEAD)))
    for place, (number, row) in enumerate(lines):
        if len(row) != len(head):
            raise UserError(
                f"{path}, line {number}: expected {len(head)} values, as the header "
                f"has. Received: {len(row)}"
            )
        try:
            logits[place] = [float(cell) for cell in row[len(HEAD) :]]
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: scores must be numbers. Received: {error}"
            ) from error
    classes = head[len(HEAD) :]
    return checked(
        path,
        video_id=np.array([row[0] for _, row in lines]),
        label=_labels(path, [(number, row[1]) for number, row in lines], classes),
        logits=logits,
        classes=np.array(classes),
    )


def _check_head(path: Path, head: list[str]) -> None:
    if head[: len(HEAD)] != HEAD or len(head) == len(HEAD):
        raise UserError(
            f"{path} must begin with the header id,label,CLASS,CLASS,... Received: "
            f"{','.join(head[:4]) or 'nothing'!r}"
        )


def _labels(path: Path, said: list[tuple[int, str]], classes: list[str]) -> np.ndarray:
    """Places of the labels in the list of classes; int64 (N,)."""
    places = {name: place for place, name in enumerate(classes)}
    named = any(label in places for _, label in said)
    if not named:
        places = {str(place): place for place in range(len(classes))}
    wanted = (
        "classes of the header" if named else f"classes, or 0 to {len(classes) - 1}"
    )
    for number, label in said:
        if label not in places:
            raise UserError(
                f"{path}, line {number}: labels must be {wanted}. Received: {label!r}"
            )
    return np.array([places[label] for _, label in said], np.int64)
