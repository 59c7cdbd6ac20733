"""Whether a dataset's tables agree with its records: videos.csv, ledger, labels.

    tables = Tables(folder, manifest)
    for shard in sorted(manifest.shards, key=lambda shard: shard.file):
        tables.begin(shard.file)
        for number, example in enumerate(...):
            faults += tables.add(number, example)
        faults += tables.end()
    faults += tables.finish()

Shards pass in the order of the index, so a row is held no longer than its shard.
"""

import itertools
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from data_prep.output import LABELS
from stfn_keras.data.index import INDEX, Indexed, iterate_index
from stfn_keras.data.inputs import SPLIT_WORDS
from stfn_keras.data.ledger import LEDGER, read_ledger
from stfn_keras.data.manifest import MANIFEST, ROLES, Manifest
from stfn_keras.data.records import to_bytes
from stfn_keras.errors import UserError

_WORDS = {letter: word for word, letter in SPLIT_WORDS.items()}
_COMPARED = ("group", "roles", "frames", "rate", "height", "width")


class Tables:
    """Takes every record once and says where the tables contradict them.

    Every fault is a sentence that starts with the name of the file at fault.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._places: dict[bytes, tuple[str, int]] = {}  # of each video, by id
        self._sides: dict[bytes, str] = {}  # roles by group
        self._leaks: set[tuple[bytes, int]] = set()  # those named already
        self._shard = ""
        self._rows: dict[int, Indexed] = {}
        self._index = _index(folder)
        self._next: tuple[str, list[Indexed]] | None = None  # read ahead
        self._usable = True  # until a fault makes the rest of the index useless
        self._faults: list[str] = []

    def begin(self, shard: str) -> None:
        """Turn to the next shard, by name."""
        self._shard, self._rows = sys.intern(shard), {}
        while self._usable and (name := self._peek()) and name <= shard:
            (_, rows), self._next = self._next or ("", []), None
            if name < shard:
                self._fault(f"it names {name}, which the manifest does not")
                continue
            self._rows = {row.record: row for row in rows}
            if len(self._rows) != len(rows):
                self._disuse(f"it has two rows for one record of {shard}")

    def add(self, number: int, example: dict[str, list]) -> Iterator[str]:
        """Compare a sound record of the shard, by its number, with its row."""
        name = example["video/id"][0]
        place = (self._shard, number)
        first = self._places.setdefault(name, place)
        if first != place:
            yield (
                f"{self._shard}: record {number}: its video {_text(name)!r} is also "
                f"record {first[1]} of {first[0]}"
            )
        yield from self._group_faults(name, example)
        row = self._rows.pop(number, None)
        if row:
            yield from _row_faults(row, example)
        elif self._usable:
            yield f"{INDEX}: {_text(name)!r} is missing: record {number} of {place[0]}"

    def skip(self, number: int) -> None:
        """Pass over a record that is not sound."""
        self._rows.pop(number, None)

    def end(self) -> Iterator[str]:
        """Say which rows of a sound shard have no record."""
        for number, row in sorted(self._rows.items()):
            yield f"{INDEX}: {row.path!r}: {row.shard} has no record {number}"

    def finish(self) -> Iterator[str]:
        """Say what is left once all shards have passed."""
        self.begin("\U0010ffff")  # after every name: what the manifest does not know
        yield from self._faults
        yield from self._ledger_faults()
        yield from self._label_faults()

    def _peek(self) -> str:
        """The shard that the index names next; empty at its end."""
        try:
            self._next = self._next or next(self._index, None)
        except UserError as error:
            self._disuse(self._said(INDEX, error))
        return self._next[0] if self._next else ""

    def _said(self, name: str, error: UserError) -> str:
        """What an error says of a file, without its path: a mirror's is nobody's."""
        text, path = str(error), f"{self._folder / name} "
        return f"it {text.removeprefix(path)}" if text.startswith(path) else text

    def _fault(self, text: str) -> None:
        self._faults.append(f"{INDEX}: {text}")

    def _disuse(self, text: str) -> None:
        self._fault(text)
        self._usable = False

    def _group_faults(self, name: bytes, example: dict[str, list]) -> Iterator[str]:
        group, roles = example["video/group"][0], example["video/roles"][0].decode()
        if group in (b"", name):  # alone
            return
        known = self._sides.get(group, "u" * len(roles))
        for split, (old, new) in enumerate(zip(known, roles, strict=False), 1):
            leak = old != new and old in _WORDS and new in _WORDS
            if leak and (group, split) not in self._leaks:
                self._leaks.add((group, split))
                yield (
                    f"{self._shard}: {_text(name)!r} of group {_text(group)!r} is in "
                    f"{ROLES[new]} of split {split}, and others of the group are in "
                    f"{ROLES[old]}"
                )
        merged = (old if old in _WORDS else new
                  for old, new in zip(known, roles, strict=False))  # fmt: skip
        self._sides[group] = sys.intern("".join(merged))

    def _ledger_faults(self) -> Iterator[str]:
        try:
            rows = read_ledger(self._folder)
        except UserError as error:
            yield f"{LEDGER}: {self._said(LEDGER, error)}"
            return
        seen = set()
        for row in rows:
            if row.path in seen:
                yield f"{LEDGER}: {row.path!r} is there twice"
            seen.add(row.path)
            if place := self._places.get(to_bytes(row.path)):
                yield f"{LEDGER}: {row.path!r} is also record {place[1]} of {place[0]}"
        manifest = self._manifest
        # A dataset made by hand, not from a list of inputs, has 0 and no ledger rows.
        counted = manifest.inputs or rows
        if counted and manifest.videos + len(rows) != manifest.inputs:
            yield (
                f"{MANIFEST}: expected {manifest.inputs} inputs. Received: "
                f"{manifest.videos} videos in shards and {len(rows)} in {LEDGER}"
            )

    def _label_faults(self) -> Iterator[str]:
        path = self._folder / LABELS
        expected = b"".join(to_bytes(label) + b"\n" for label in self._manifest.labels)
        if not path.is_file():
            yield f"{LABELS}: it is missing"
        elif path.read_bytes() != expected:
            yield f"{LABELS}: expected the labels of {MANIFEST}, one a line"


def _index(folder: Path) -> Iterator[tuple[str, list[Indexed]]]:
    """The index's rows, shard by shard.

    Raises:
        UserError: It cannot be read, or is not sorted by shard.
    """
    last = ""
    for name, rows in itertools.groupby(iterate_index(folder), lambda row: row.shard):
        if name <= last:
            raise UserError(f"it must be sorted by shard. Received {name} after {last}")
        last = name
        yield name, list(rows)


def _row_faults(row: Indexed, example: dict[str, list]) -> Iterator[str]:
    expected = {
        "path": _text(example["video/id"][0]),
        "label": _text(example["video/label_text"][0]),
        **{name: example[f"video/{name}"][0] for name in _COMPARED},
    }
    for name in ("group", "roles"):
        expected[name] = _text(expected[name])
    for name, value in expected.items():
        received = getattr(row, name)
        if name == "rate":  # records hold 32 bits
            received = struct.unpack("<f", struct.pack("<f", received))[0]
        if received != value:
            yield (
                f"{INDEX}: {row.path!r}: {name} must be {value!r}, as in record "
                f"{row.record} of {row.shard}. Received: {received!r}"
            )
    if row.errors < 0:
        yield f"{INDEX}: {row.path!r}: errors must be 0 or more. Received: {row.errors}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
