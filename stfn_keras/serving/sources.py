"""What a prediction is asked for: files, folders, patterns, cameras, a list.

    sources = find_sources(["clips/", "*.mp4", "camera:0", "-"], sys.stdin)
    sources[0].path, sources[0].name  # clips/a/1.avi, a/1

Names of results are relative paths without a suffix, different for each source.
"""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stfn_keras.video.listing import VIDEO_SUFFIXES, is_frame_folder

_CAMERA = re.compile(r"camera:(\d{1,3})", re.ASCII)
_LIST = "-"


@dataclass(frozen=True)
class Source:
    """One video to predict.

    Attributes:
        path: A file or a folder of frames, there or not; of a camera `camera:NUMBER`.
        name: Of its results: a relative path without suffix.
    """

    path: Path
    name: str

    @property
    def camera(self) -> int | None:
        """The camera's number; None for a file or a folder."""
        return camera_number(str(self.path))


def camera_number(name: str) -> int | None:
    """The number in `camera:NUMBER`; None for another name."""
    match = _CAMERA.fullmatch(name)
    return int(match[1]) if match else None


def find_sources(names: Sequence[str], lines: Iterable[str] = ()) -> list[Source]:
    """Find the videos that names stand for, each once, in order.

    A name is a file or a frame folder (numbered images of one video, and no video
    file); another folder, for all of its videos and frame folders at any depth;
    `camera:NUMBER`; `-`, for the names in `lines`; or else a pattern, in which `**`
    stands for folders at any depth.
    What is not there is given as well, and a folder of nothing: predicting it says so.

    Args:
        names: As above.
        lines: Names, one a line, for `-`; they are no patterns.
    """
    found: dict[str, Source] = {}
    for name in names:
        if name == _LIST:
            listed = (line.rstrip("\r\n") for line in lines)
            pairs = [p for text in listed if text for p in _named(text, False)]
        else:
            pairs = list(_named(name, True))
        for path, result in pairs:
            found.setdefault(os.path.abspath(path), Source(path, result))
    return _told_apart(list(found.values()))


def _named(name: str, patterns: bool) -> Iterator[tuple[Path, str]]:
    path = Path(name)
    if (number := camera_number(name)) is not None:
        yield path, f"camera-{number}"
    elif path.is_dir() and not is_frame_folder(path):
        yield from _inside(path)
    elif patterns and not os.path.lexists(path) and glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True)) or [name]
        for match in map(Path, matches):
            if not match.is_dir():
                yield match, match.stem
            elif is_frame_folder(match):
                yield match, match.name
    else:
        # A folder's name may hold a dot; that of `.` or `..` is where it leads.
        yield path, path.resolve().name if path.is_dir() else path.stem


def _inside(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a folder's videos and frame folders, sorted by path."""
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        if here != folder and is_frame_folder(here):
            folders.clear()
            found.append((here, here.relative_to(folder).as_posix()))
            continue
        for path in map(here.joinpath, files):
            if path.suffix.lower() in VIDEO_SUFFIXES:
                result = path.relative_to(folder).with_suffix("").as_posix()
                found.append((path, result))
    yield from sorted(found) or [(folder, folder.resolve().name)]


def _told_apart(sources: list[Source]) -> list[Source]:
    """Lengthen the names that several sources would share: by folders, then suffix."""
    if not _shared(sources):
        return sources
    paths = [Path(os.path.abspath(source.path)) for source in sources]
    root = os.path.commonpath([path.parent for path in paths])
    whole = [path.relative_to(root) for path in paths]
    for suffix in (False, True):
        shared = _shared(sources)
        sources = [
            replace(s, name=(p if suffix else p.with_suffix("")).as_posix())
            if s.name in shared else s
            for s, p in zip(sources, whole, strict=True)
        ]  # fmt: skip
    if _shared(sources):
        return [
            replace(s, name=path.as_posix())
            for s, path in zip(sources, whole, strict=True)
        ]
    return sources


def _shared(sources: list[Source]) -> set[str]:
    counts = Counter(source.name for source in sources)
    return {name for name, count in counts.items() if count > 1}
