"""Whether archives and what they held are as published.

    problems = video_problems("ucf101", SOURCES["ucf101"], videos, splits)

Each function returns sentences, none where all is well.
"""

import hashlib
from pathlib import Path

from tqdm import tqdm

from data_prep.fetching.sources import Archive, Source
from stfn_keras.data import official
from stfn_keras.errors import UserError


def archive_problems(path: Path, archive: Archive) -> list[str]:
    """An archive's size and SHA-256, against the official file's."""
    size = path.stat().st_size
    if archive.bytes and size != archive.bytes:
        return [f"expected {archive.bytes:,} bytes, received {size:,}"]
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(
            total=size, unit="B", unit_scale=True, desc=f"checking {path.name}"
        ) as bar,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != archive.sha256:
        return [
            f"expected SHA-256 {archive.sha256}, received {digest.hexdigest()} "
            f"({size:,} bytes)"
        ]
    return []


def list_problems(folder: Path, archive: Archive) -> list[str]:
    """The number of lists in a folder; more than published do no harm."""
    lists = len(list(folder.iterdir()))
    if lists < archive.files:
        return [f"expected {archive.files} lists, received {lists}"]
    return []


def video_problems(
    dataset: str, source: Source, videos: Path, splits: Path
) -> list[str]:
    """Counts of videos and classes, and listed videos that are not there.

    Raises:
        UserError: There is no video, or none that the lists name.
    """
    classes, count = count_videos(videos, source.videos.suffix)
    problems = []
    if count != source.videos.files:
        problems.append(f"expected {source.videos.files:,} videos, received {count:,}")
    if classes != source.classes:
        problems.append(f"expected {source.classes} classes, received {classes}")
    if not count:
        raise UserError(f"{'; '.join(problems)}: is it the right archive?")
    read = official.ucf101 if dataset == "ucf101" else official.hmdb51
    absent = read(videos, splits).absent
    if absent:
        problems.append(f"expected every listed video, {absent:,} are not there")
    return problems


def count_videos(folder: Path, suffix: str) -> tuple[int, int]:
    """Numbers of classes that hold videos, and of videos."""
    files = [f for f in folder.glob("*/*") if f.name.lower().endswith(suffix)]
    return len({file.parent for file in files}), len(files)
