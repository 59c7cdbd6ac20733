"""CSV files of a dataset: whole or absent, any file name readable back."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stfn_keras.files import written_aside


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a table with a header.

    Names of files pass through as they are, those that are no UTF-8 too.
    """
    with (
        written_aside(path) as aside,
        open(
            aside, "w", newline="", encoding="utf-8", errors="surrogateescape"
        ) as file,
    ):
        plain = csv.writer(file, lineterminator="\n")
        # Before 3.12.3 the plain one leaves a lone carriage return unquoted.
        careful = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(columns)
        for row in rows:
            returns = any("\r" in cell for cell in row if isinstance(cell, str))
            (careful if returns else plain).writerow(row)
