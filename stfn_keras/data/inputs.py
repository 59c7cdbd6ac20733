"""What a protocol finds: videos, their classes, groups and roles.

    files = list_files(folder)
    check_groups(videos)  # no group on two sides of a split

The parts that the protocols share.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.errors import UserError

# T: TSN's dense_flow, denseflow and MMAction2
_FRAME = re.compile(r"(img_|image_|flow_[xy]_|)\d+\.(jpe?g|png)", re.IGNORECASE)

SPLIT_WORDS = {"train": "r", "test": "e", "val": "v"}


@dataclass(frozen=True)
class Video:
    """One video that takes part.

    Attributes:
        id: POSIX path relative to the video folder; of a segment, `#t=start,end`
            follows it.
        label: Name of its class.
        group: Videos of one group share their source and never a split's two sides.
        roles: One letter per split: r train, e test, v validation, u unused.
        segment: Start and end in seconds, where only a part is meant.
    """

    id: str
    label: str
    group: str
    roles: str
    segment: tuple[float, float] | None = None

    @property
    def file(self) -> str:
        """POSIX path of the file relative to the video folder."""
        return self.id.rpartition("#t=")[0] if self.segment else self.id


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


def list_files(folder: Path, frames: bool = False) -> list[str]:
    """Everything below a folder that may be a video, as sorted relative POSIX paths.

    Links are followed, each folder once; a link that leads nowhere counts as a file,
    so that the ledger can name it.

    Args:
        folder: Where the paths start.
        frames: List the folders that hold frames of extracted videos, not files.

    Raises:
        UserError: It is no folder, a part of it cannot be read, or nothing is there.
    """
    flag = "--frames" if frames else "--videos"
    if not folder.is_dir():
        raise UserError(f"{flag} must be a folder of videos. Received: {folder}")
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    # Links come after all real folders, so that no link takes a folder's place.
    while waiting:
        links: list[Path] = []
        for root in waiting:
            found += _walk(root, folder, frames, seen, links, flag)
        waiting = sorted(links)
    if not found:
        what = "folders of extracted frames" if frames else "videos"
        raise UserError(f"expected {what} in {folder}. Received: none")
    return sorted(found)


def _walk(
    start: Path,
    folder: Path,
    frames: bool,
    seen: set[tuple[int, int]],
    links: list[Path],
    flag: str,
) -> Iterator[str]:
    """Yield what is below a folder; put linked folders into `links`."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{flag} must be readable. Received: {error}") from error

    for root, names, files in os.walk(start, onerror=refuse):
        here = Path(root)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if frames and any(map(_FRAME.fullmatch, files)):
            yield here.relative_to(folder).as_posix()
            names.clear()
            continue
        links += [here / name for name in names if (here / name).is_symlink()]
        for path in (here / name for name in files if not frames):
            try:
                # A link that leads nowhere, or in a circle, is a file as well.
                if path.is_file() or path.is_symlink():
                    yield path.relative_to(folder).as_posix()
            except OSError as error:
                refuse(error)


def source_size(path: Path) -> int:
    """Bytes of a video, or how many files a folder of frames has; 0: not there.

    By it a video is recognised as the one that was there before.
    """
    try:
        return len(os.listdir(path)) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


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
