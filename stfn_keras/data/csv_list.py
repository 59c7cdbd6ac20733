"""The `csv` protocol: the videos, classes and splits that a table of one's own names.

    inputs = read_csv(Path("clips/splits.csv"), folder=None)

`protocols.discover` is the way in.
"""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from stfn_keras.data.inputs import SPLIT_WORDS, Inputs, Video
from stfn_keras.errors import UserError


def read_csv(path: Path, folder: Path | None) -> Inputs:
    """Read a row per video, or per segment of one; there is one split.

    Args:
        path: The CSV file.
        folder: What its paths are relative to; None for its own folder.

    Raises:
        UserError: The file is missing or malformed, a row is there twice, or none of
            its videos is there.
    """
    folder = folder or path.parent
    if not folder.is_dir():
        raise UserError(f"--videos must be a folder of videos. Received: {folder}")
    videos: dict[str, Video] = {}
    for line, row in _csv_rows(path):
        video = _csv_video(row, f"{path}, line {line}")
        if video.id in videos:
            raise UserError(
                f"{path}, line {line}: each path must be there once. Received "
                f"{video.id} again"
            )
        videos[video.id] = video
    if not any(os.path.lexists(folder / video.file) for video in videos.values()):
        raise UserError(
            f"none of the {len(videos)} paths in {path} is in {folder}: "
            "--videos must be the folder that they are relative to"
        )
    labels = tuple(sorted({video.label for video in videos.values()}))
    return Inputs(folder, labels, tuple(videos[name] for name in sorted(videos)))


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns: Sequence[str] = reader.fieldnames or ()
            if not {"path", "label", "split"} <= set(columns):
                raise UserError(
                    f"{path} must have the columns path, label, split and, if wanted, "
                    f"group, start and end. Received: {', '.join(columns) or 'none'}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"--csv must be a CSV file. Received: {error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be CSV in UTF-8: {error}") from error
    if not rows:
        raise UserError(f"{path} must have a row per video. Received: none")
    return rows


def _csv_video(row: dict[str, str], where: str) -> Video:
    name, label, split = (row.get(key) or "" for key in ("path", "label", "split"))
    if not name or not label:
        raise UserError(f"{where}: path and label must be filled. Received: {row}")
    if split not in SPLIT_WORDS:
        raise UserError(
            f"{where}: split must be one of {', '.join(SPLIT_WORDS)}. "
            f"Received: {split!r}"
        )
    posix = PurePosixPath(name)
    if posix.is_absolute() or ".." in posix.parts:
        raise UserError(
            f"{where}: path must stay inside the video folder. Received: {name!r}"
        )
    # Segments of one file share what they show, so they share a group as well.
    group = row.get("group") or str(posix)
    segment = _segment(row, where)
    if segment:
        start, end = (str(second).removesuffix(".0") for second in segment)
        posix = PurePosixPath(f"{posix}#t={start},{end}")
    return Video(str(posix), label, group, SPLIT_WORDS[split], segment)


def _segment(row: dict[str, str], where: str) -> tuple[float, float] | None:
    """Start and end in seconds; None where the whole video is meant."""
    texts = [(row.get(key) or "").strip() for key in ("start", "end")]
    if texts == ["", ""]:
        return None
    try:
        start, end = map(float, texts)
    except ValueError:
        start, end = 0.0, 0.0
    if not 0.0 <= start < end < math.inf:
        raise UserError(
            f"{where}: start and end must both be empty, or seconds with start before "
            f"end. Received: {texts[0]!r} and {texts[1]!r}"
        )
    return start, end
