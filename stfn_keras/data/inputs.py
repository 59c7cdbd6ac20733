"""What a protocol finds: videos, their classes, groups and roles.

    files = list_files(folder)
    check_groups(videos)  # no group on two sides of a split

The parts that the protocols share.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.errors import UserError

SPLIT_WORDS = {"train": "r", "test": "e", "val": "v"}


@dataclass(frozen=True)
class Video:
    """One video that takes part.

    Attributes:
        id: POSIX path relative to the video folder.
        label: Name of its class.
        group: Videos of one group share their source and never a split's two sides.
        roles: One letter per split: r train, e test, v validation, u unused.
    """

    id: str
    label: str
    group: str
    roles: str


@dataclass(frozen=True)
class Inputs:
    """Everything that a protocol finds.

    Attributes:
        folder: Where the ids start.
        labels: The classes present, in the protocol's order.
        videos: Sorted by id.
        unlisted: Ids of files that the protocol does not name.
        absent: How many videos the protocol names that are not there.
    """

    folder: Path
    labels: tuple[str, ...]
    videos: tuple[Video, ...]
    unlisted: tuple[str, ...] = ()
    absent: int = 0


def list_files(folder: Path) -> list[str]:
    """Every regular file below a folder, as sorted POSIX paths relative to it.

    Links are followed, each folder once.

    Raises:
        UserError: It is no folder, or holds no file.
    """
    if not folder.is_dir():
        raise UserError(f"--videos must be a folder of videos. Received: {folder}")
    found, seen = [], set()
    for root, names, files in os.walk(folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        paths = (Path(root, name) for name in files)
        found += [p.relative_to(folder).as_posix() for p in paths if p.is_file()]
    if not found:
        raise UserError(f"--videos must hold videos. Received: {folder}, it is empty")
    return sorted(found)


def check_groups(videos: Iterable[Video]) -> None:
    """Refuse splits that share a group between training, validation and test.

    Raises:
        UserError: Names the first such group.
    """
    words = {letter: word for word, letter in SPLIT_WORDS.items()}
    sides: dict[tuple[int, str], tuple[str, str]] = {}
    for video in videos:
        for split, role in enumerate(video.roles, 1):
            if role not in words:
                continue
            first = sides.setdefault((split, video.group), (role, video.id))
            if first[0] != role:
                raise UserError(
                    f"group {video.group!r} must be on one side of split {split}. "
                    f"Received: {first[1]} in {words[first[0]]} and {video.id} in "
                    f"{words[role]}; move one of them"
                )


def seeded_order(names: Iterable[str], seed: int) -> list[str]:
    """Shuffle names by their digests: adding a name moves no other."""

    def key(name: str) -> bytes:
        text = f"{seed}/{name}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).digest()

    return sorted(names, key=key)
