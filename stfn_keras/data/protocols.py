"""Protocols: which videos there are, their classes, groups and splits.

    inputs = discover("ucf101", Path("UCF-101"), Path("ucfTrainTestlist"))
    inputs.videos[0].roles  # "err": tests split 1, trains splits 2 and 3

Every regular file below the video folder (for `csv`: every row) is an input. It is
either one of `videos` or one of `unlisted`; nothing is left out without a word.
"""

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from stfn_keras.data.inputs import (
    SPLIT_WORDS,
    Inputs,
    Video,
    check_groups,
    list_files,
    seeded_order,
)
from stfn_keras.data.official import hmdb51, ucf101
from stfn_keras.errors import UserError

PROTOCOLS = ("folder", "ucf101", "hmdb51", "csv")
TEST_FRACTION = 0.3  # of the folder protocol (T: HMDB51's 70/30)

_GROUP = re.compile(r"_(g\d+)_")


def discover(
    protocol: str,
    videos: Path | None = None,
    split_lists: Path | None = None,
    csv_file: Path | None = None,
    seed: int = 0,
) -> Inputs:
    """Find the inputs of a protocol.

    Args:
        protocol: One of `PROTOCOLS`.
        videos: The video folder; for `csv` it may be None, the CSV's own folder.
        split_lists: The folder of the official lists, for `ucf101` and `hmdb51`.
        csv_file: For `csv`: columns path, label, split and, if wanted, group.
        seed: Of the split that `folder` draws.

    Raises:
        UserError: A folder or list is missing, empty or malformed, no listed video
            is there, or a group is on two sides of a split.
    """
    if protocol == "csv":
        inputs = _from_csv(_given(csv_file, "csv", protocol), videos)
    elif protocol == "folder":
        inputs = _from_folder(_given(videos, "videos", protocol), seed)
    elif protocol in ("ucf101", "hmdb51"):
        read = ucf101 if protocol == "ucf101" else hmdb51
        lists = _given(split_lists, "split_lists", protocol)
        inputs = read(_given(videos, "videos", protocol), lists)
    else:
        raise UserError(
            f"--protocol must be one of {', '.join(PROTOCOLS)}. Received: {protocol!r}"
        )
    check_groups(inputs.videos)
    return inputs


def _given(value: Path | None, flag: str, protocol: str) -> Path:
    if value is None:
        raise UserError(f"--protocol={protocol} needs --{flag}. Received: none")
    return value


def _from_folder(folder: Path, seed: int) -> Inputs:
    """A folder per class; groups by `_gNN_` in a name, else each file its own."""
    files = list_files(folder)
    classes: dict[str, dict[str, list[str]]] = {
        name: {} for name in sorted(os.listdir(folder)) if (folder / name).is_dir()
    }
    unlisted = []
    for file in files:
        label, _, rest = file.partition("/")
        if not rest:
            unlisted.append(file)
            continue
        match = _GROUP.search(PurePosixPath(rest).name)
        group = f"{label}/{match[1] if match else rest}"
        classes[label].setdefault(group, []).append(file)
    if not classes:
        raise UserError(
            f"--videos must hold a folder per class. Received: {folder}, which holds "
            "files only"
        )
    for label, groups in classes.items():
        if not groups:
            raise UserError(
                f"every class folder must hold videos. Received: {folder / label}, "
                "which is empty; fill or remove it"
            )
    videos = []
    for label, groups in classes.items():
        tested = _test_groups(groups, seed)
        for group, members in groups.items():
            role = SPLIT_WORDS["test" if group in tested else "train"]
            videos += [Video(member, label, group, role) for member in members]
    ordered = tuple(sorted(videos, key=lambda video: video.id))
    return Inputs(folder, tuple(classes), ordered, tuple(unlisted))


def _test_groups(groups: dict[str, list[str]], seed: int) -> set[str]:
    """Draw whole groups until about 30 % of a class's videos are in them.

    A class of one group is all for training; any other has some on each side.
    """
    wanted = TEST_FRACTION * sum(map(len, groups.values()))
    drawn: set[str] = set()
    size = 0
    for group in seeded_order(groups, seed)[:-1]:
        grown = size + len(groups[group])
        if not drawn or abs(grown - wanted) <= abs(size - wanted):
            drawn.add(group)
            size = grown
    return drawn


def _from_csv(path: Path, folder: Path | None) -> Inputs:
    """One split; a row per video; paths relative to the CSV's folder or --videos."""
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
    if not any((folder / name).is_file() for name in videos):
        raise UserError(
            f"none of the {len(videos)} paths in {path} is a file in {folder}: "
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
                    f"group. Received: {', '.join(columns) or 'none'}"
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
    return Video(str(posix), label, row.get("group") or str(posix), SPLIT_WORDS[split])
