"""Protocols: which videos there are, their classes, groups and splits.

    inputs = discover("ucf101", Path("UCF-101"), Path("ucfTrainTestlist"))
    inputs.videos[0].roles  # "err": tests split 1, trains splits 2 and 3

Every regular file below the video folder (for `csv`: every row) is an input. It is
either one of `videos` or one of `unlisted`; nothing is left out without a word.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from stfn_keras.data.csv_list import read_csv
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
    frames: bool = False,
    known: Mapping[str, str] | None = None,
) -> Inputs:
    """Find the inputs of a protocol.

    Args:
        protocol: One of `PROTOCOLS`.
        videos: The video folder; for `csv` it may be None, the CSV's own folder.
        split_lists: The folder of the official lists, for `ucf101` and `hmdb51`.
        csv_file: For `csv`: columns path, label, split and, if wanted, group, start
            and end.
        seed: Of the split that `folder` draws.
        frames: Whether the videos are folders of extracted frames.
        known: Roles by group that `folder` must keep, where a dataset grows.

    Raises:
        UserError: A folder or list is missing, empty or malformed, no listed video
            is there, or a group is on two sides of a split.
    """
    if protocol == "csv":
        inputs = read_csv(_given(csv_file, "csv", protocol), videos)
    elif protocol == "folder":
        given = _given(videos, "videos", protocol)
        inputs = _from_folder(given, seed, frames, known or {})
    elif protocol in ("ucf101", "hmdb51"):
        read = ucf101 if protocol == "ucf101" else hmdb51
        lists = _given(split_lists, "split_lists", protocol)
        inputs = read(_given(videos, "videos", protocol), lists, frames)
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


def _from_folder(
    folder: Path, seed: int, frames: bool, known: Mapping[str, str]
) -> Inputs:
    """A folder per class; groups by `_gNN_` in a name, else each file its own."""
    files = list_files(folder, frames)
    classes: dict[str, dict[str, list[str]]] = {
        name: {}
        for name in sorted(os.listdir(folder))
        if (folder / name).is_dir() and not name.startswith(".")
    }
    unlisted = []
    for file in files:
        label, _, rest = file.partition("/")
        # Neither .git nor .DS_Store is anybody's video.
        hidden = any(part.startswith(".") for part in PurePosixPath(file).parts)
        if not rest or hidden or PurePosixPath(file).name == "Thumbs.db":
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
        tested = _test_groups(groups, seed, known)
        for group, members in groups.items():
            role = SPLIT_WORDS["test" if group in tested else "train"]
            videos += [Video(member, label, group, role) for member in members]
    ordered = tuple(sorted(videos, key=lambda video: video.id))
    return Inputs(folder, tuple(classes), ordered, tuple(unlisted))


def _test_groups(
    groups: dict[str, list[str]], seed: int, known: Mapping[str, str]
) -> set[str]:
    """Draw whole groups until about 30 % of a class's videos are in them.

    Groups with a role already keep it. A class of one group is all for training; any
    other has some on each side.
    """
    wanted = TEST_FRACTION * sum(map(len, groups.values()))
    drawn = {group for group in groups if known.get(group) == SPLIT_WORDS["test"]}
    size = sum(len(groups[group]) for group in drawn)
    new = [group for group in seeded_order(groups, seed) if group not in known]
    trained = any(known.get(group) == SPLIT_WORDS["train"] for group in groups)
    for group in new if trained else new[:-1]:
        grown = size + len(groups[group])
        if not drawn or abs(grown - wanted) <= abs(size - wanted):
            drawn.add(group)
            size = grown
    return drawn
