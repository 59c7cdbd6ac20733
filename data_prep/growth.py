"""What a dataset holds already, and what an addition brings.

base = Base.load(out)
news = base.news(inputs, limit)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.plan import taken
from stfn_keras.data.index import Indexed, read_index
from stfn_keras.data.inputs import Inputs, Video, check_groups, source_size
from stfn_keras.data.ledger import Rejected, read_ledger
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.errors import UserError

UNLISTED = "unlisted"


@dataclass(frozen=True)
class Base:
    """A dataset's contents; nothing at all for one that is made from scratch."""

    labels: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()
    index: tuple[Indexed, ...] = ()
    ledger: tuple[Rejected, ...] = ()

    @classmethod
    def load(cls, out: Path) -> "Base":
        """Read a finished dataset.

        Raises:
            UserError: It is not finished, or one of its tables is damaged.
        """
        manifest = Manifest.load(out)
        return cls(
            manifest.labels,
            manifest.shards,
            tuple(read_index(out)),
            tuple(read_ledger(out)),
        )

    def without(self, files: set[str], ids: set[str]) -> "Base":
        """Leave out shards of these names and the ledger's rows of these videos."""
        return Base(
            self.labels,
            tuple(shard for shard in self.shards if shard.file not in files),
            tuple(row for row in self.index if row.shard not in files),
            tuple(row for row in self.ledger if row.path not in ids),
        )

    def news(self, inputs: Inputs, limit: int) -> list[Video]:
        """The videos that are neither in a shard nor in the ledger.

        A file that no list named before, and that one names now, is new.

        Raises:
            UserError: A video's class, group or split is not what it was, or a group
                would be on two sides of a split.
        """
        there = {row.path: row for row in self.index}
        for video in inputs.videos:
            if row := there.get(video.id):
                _check_same(video, row, source_size(inputs.folder / video.file))
        refused = {row.path for row in self.ledger if row.reason != UNLISTED}
        known = there.keys() | refused
        chosen = [v for v in taken(inputs.videos, limit) if v.id not in known]
        old = [Video(r.path, r.label, r.group, r.roles) for r in self.index]
        check_groups([*old, *chosen])
        _check_splits(self.shards, chosen)
        return chosen

    def all_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Old classes keep their numbers; new ones follow."""
        new = [label for label in labels if label not in self.labels]
        return (*self.labels, *new)


def _check_splits(shards: Sequence[Shard], videos: Sequence[Video]) -> None:
    before = {len(shard.roles) for shard in shards}
    now = {len(video.roles) for video in videos}
    if not now <= before:
        raise UserError(
            f"new videos must have the dataset's splits, {before.pop()}. Received "
            f"videos with {now.pop()}: use the same lists"
        )


def _check_same(video: Video, row: Indexed, size: int) -> None:
    if row.bytes and size and row.bytes != size:
        raise UserError(
            f"{video.id} must be the video that is in the dataset. It had {row.bytes} "
            f"bytes (or frames) and has {size} now: rename it, or choose another folder"
        )
    for what in ("label", "group", "roles"):
        before, now = getattr(row, what), getattr(video, what)
        if before != now:
            raise UserError(
                f"videos in the dataset must keep their class and split. {video.id} "
                f"had {what} {before!r} and has {now!r} now: choose another folder"
            )
