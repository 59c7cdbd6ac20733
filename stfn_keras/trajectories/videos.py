"""The videos of a dataset as files, with their roles in a split.

    videos = find_videos(Path("data/ucf101"), Path("UCF-101"))
    trained = of_role(videos, split=1, role="r")

A dataset's index names every video that takes part; what lies in the folder besides
is left alone.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.data.index import read_index
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError

_SEGMENT = re.compile(r"(.+)#t=([\d.]+),([\d.]+)", re.DOTALL)


@dataclass(frozen=True)
class SourceVideo:
    """One video of a dataset.

    Attributes:
        id: As in the dataset.
        path: Its file.
        segment: Start and end in seconds, where only a part is meant.
        label: Place of its class in the dataset's list.
        roles: One letter for each split.
        size: Of its file, in bytes, when the dataset was made; 0 if unknown.
    """

    id: str
    path: Path
    segment: tuple[float, float] | None
    label: int
    roles: str
    size: int = 0

    @property
    def key(self) -> bytes:
        """The id as it is kept in records."""
        return self.id.encode("utf-8", "surrogateescape")

    @property
    def digest(self) -> str:
        """Names its descriptors: of its id and size, so that no other has it."""
        return hashlib.sha256(self.key + b"\0%d" % self.size).hexdigest()[:32]


def find_videos(data: Path, folder: Path) -> tuple[SourceVideo, ...]:
    """Every video of a dataset, in the order of its index.

    Args:
        data: A dataset made by `python -m data_prep`.
        folder: Of the videos that it was made of.

    Raises:
        UserError: `data` is no dataset, or `folder` is not where its videos lie: one
            is a folder of frames, or has another size than it had.
    """
    labels = Manifest.load(data).labels
    if not folder.is_dir():
        raise UserError(
            f"--videos must be the folder of the dataset's videos. Received: {folder}"
        )
    videos = []
    for row in read_index(data):
        name, segment = row.path, None
        match = _SEGMENT.fullmatch(row.path)
        if match and not (folder / row.path).exists():
            name, segment = match[1], (float(match[2]), float(match[3]))
        video = SourceVideo(
            row.path, folder / name, segment, labels.index(row.label), row.roles,
            row.bytes,
        )  # fmt: skip
        _check(video, data)
        videos.append(video)
    return tuple(videos)


def _check(video: SourceVideo, data: Path) -> None:
    if video.path.is_dir():
        raise UserError(
            f"--videos must hold video files. Received: {video.path}, a folder of "
            f"extracted frames that {data} was made of; give the videos themselves"
        )
    if not video.path.is_file():
        return  # reported with the videos that cannot be used
    size = video.path.stat().st_size
    if video.size and size != video.size:
        raise UserError(
            f"--videos must hold the videos that {data} was made of. {video.path} had "
            f"{video.size} bytes and has {size} now"
        )


def of_role(
    videos: Sequence[SourceVideo], split: int, role: str
) -> tuple[SourceVideo, ...]:
    """The videos that have a role (a letter of `manifest.ROLES`) in a split.

    Args:
        videos: Of a dataset.
        split: From 1.
        role: Letter.

    Raises:
        UserError: There is no such split.
    """
    splits = len(videos[0].roles) if videos else 0
    if not 1 <= split <= splits:
        raise UserError(f"--split must be 1 to {splits}. Received: {split}")
    return tuple(video for video in videos if video.roles[split - 1] == role)
