"""The index: one line for every video in a dataset's shards, in `videos.csv`.

    write_index(folder, [Indexed("Walk/a.avi", "Walk", "g01", "r", ...)])
    read_index(folder)

It repeats what the records say, so that a table of a whole dataset, or the place of
one video, is found without reading a shard.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from stfn_keras.data.tables import write_table
from stfn_keras.errors import UserError

INDEX = "videos.csv"


@dataclass(frozen=True)
class Indexed:
    """A video in a shard.

    Attributes:
        path: Its id.
        label: Name of its class.
        group: Of its source; never on two sides of a split.
        roles: One letter per split.
        shard: File name.
        record: Its number in the shard, from 0.
        frames: Decoded.
        rate: Mean frames per second; 0.0 if unknown.
        height: Stored, in pixels.
        width: Stored, in pixels.
        errors: Decoding errors survived, where damaged videos are kept.
        bytes: Size of its file when it was prepared; of extracted frames, how many
            files there were.
    """

    path: str
    label: str
    group: str
    roles: str
    shard: str
    record: int
    frames: int
    rate: float
    height: int
    width: int
    errors: int = 0
    bytes: int = 0


COLUMNS = tuple(field.name for field in fields(Indexed))


def write_index(folder: Path, rows: Iterable[Indexed]) -> None:
    """Write `videos.csv`, sorted by shard and record."""
    ordered = sorted(rows, key=lambda row: (row.shard, row.record))
    write_table(folder / INDEX, COLUMNS, map(astuple, ordered))


def read_index(folder: Path) -> list[Indexed]:
    """Read `videos.csv` as a whole; see `iterate_index`."""
    return list(iterate_index(folder))


def iterate_index(folder: Path) -> Iterator[Indexed]:
    """Yield the rows of `videos.csv`, one at a time.

    Raises:
        UserError: It is missing or no index.
    """
    path = folder / INDEX
    kinds: list[Any] = [field.type for field in fields(Indexed)]
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != COLUMNS:
                raise ValueError(f"expected the columns {','.join(COLUMNS)}")
            for row in rows:
                try:
                    cells = zip(kinds, row, strict=True)
                    video = Indexed(*(kind(cell) for kind, cell in cells))
                except ValueError as error:
                    raise ValueError(f"line {rows.line_num}: {error}") from error
                yield video
    except FileNotFoundError:
        raise UserError(f"{path} is missing: prepare the dataset again") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is no index of videos: {error}") from error
