"""The ledger: every input that is in no shard, and why.

    write_ledger(folder, [Rejected("a/b.avi", "damaged", 180, 92)])
    read_ledger(folder)

Shards and ledger together hold every input once.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from stfn_keras.data.tables import write_table
from stfn_keras.errors import UserError

LEDGER = "ledger.csv"
COLUMNS = ("path", "reason", "frames_declared", "frames_decoded")
REASONS = (
    "unlisted",
    "missing",
    "not a file",
    "empty",
    "unreadable container",
    "no video stream",
    "no frames",
    "damaged",
    "too short",
    "too small",
    "too large",
    "size change",
    "crashed",
    "timed out",
)


@dataclass(frozen=True)
class Rejected:
    """An input that is in no shard.

    Attributes:
        path: Its id: a POSIX path relative to the video folder.
        reason: One of `REASONS`.
        frames_declared: By the header; 0 if unknown or not opened.
        frames_decoded: Before the fault.
    """

    path: str
    reason: str
    frames_declared: int = 0
    frames_decoded: int = 0

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(
                f"expected a reason among {', '.join(REASONS)}. "
                f"Received: {self.reason!r}"
            )


def write_ledger(folder: Path, rows: Iterable[Rejected]) -> None:
    """Write `ledger.csv`, sorted by path."""
    ordered = sorted(rows, key=lambda row: row.path)
    write_table(folder / LEDGER, COLUMNS, map(astuple, ordered))


def read_ledger(folder: Path) -> list[Rejected]:
    """Read `ledger.csv`.

    Raises:
        UserError: It is missing or not a ledger.
    """
    path = folder / LEDGER
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.reader(file))
        if not rows or tuple(rows[0]) != COLUMNS:
            raise ValueError(f"expected the columns {','.join(COLUMNS)}")
        return [Rejected(p, reason, int(d), int(n)) for p, reason, d, n in rows[1:]]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: prepare the dataset again") from None
    except ValueError as error:
        raise UserError(f"{path} is no ledger: {error}") from error
