"""The official protocols of UCF101 and HMDB51, from their published lists.

`protocols.discover` is the way in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stfn_keras.data.inputs import Inputs, Video, list_files
from stfn_keras.errors import UserError

_UCF101_LIST = re.compile(r"(train|test)list(\d\d)\.txt")
_UCF101_GROUP = re.compile(r"(.+_g\d+)_c\d+")
_HMDB51_LIST = re.compile(r"(.+)_test_split(\d+)\.txt")
_HMDB51_ROLES = {"0": "u", "1": "r", "2": "e"}


@dataclass
class _Listed:
    """A video that the lists name."""

    name: str
    label: str
    group: str
    roles: dict[int, str] = field(default_factory=dict)  # by split


def ucf101(folder: Path, lists: Path, frames: bool = False) -> Inputs:
    """Read `classInd.txt` and the pairs of `trainlistNN.txt` and `testlistNN.txt`.

    Labels are the classes present, in the order of `classInd.txt`. The lists and
    the archive disagree on the case of some names; case is ignored.

    Raises:
        UserError: A list is missing or malformed, or nothing listed is there.
    """
    names = _matching(lists, _UCF101_LIST, "trainlistNN.txt and testlistNN.txt")
    splits = sorted({int(match[2]) for match in names})
    classes = _ucf101_classes(lists)
    listed: dict[str, _Listed] = {}
    for split in splits:
        for word, role in (("train", "r"), ("test", "e")):
            path = lists / f"{word}list{split:02d}.txt"
            for number, line in _lines(path):
                where = f"{path}, line {number}"
                name, label = _ucf101_entry(line, classes, where)
                _add(listed, name, label, _ucf101_group(name), split, role, where)
    labels = [label for _, label in sorted(classes.values())]
    return _on_disk(folder, frames, lists, listed, labels, splits)


def hmdb51(folder: Path, lists: Path, frames: bool = False) -> Inputs:
    """Read `<class>_test_split<n>.txt`: 1 trains, 2 tests, 0 is unused.

    Labels are the classes present, in alphabetical order. Videos cut from one film
    share what their names start with, before the class.

    Raises:
        UserError: A list is missing or malformed, or nothing listed is there.
    """
    names = _matching(lists, _HMDB51_LIST, "<class>_test_split<n>.txt")
    splits = sorted({int(match[2]) for match in names})
    classes = sorted({match[1] for match in names})
    listed: dict[str, _Listed] = {}
    for label in classes:
        for split in splits:
            path = lists / f"{label}_test_split{split}.txt"
            for number, line in _lines(path):
                where = f"{path}, line {number}"
                name, _, code = line.rpartition(" ")
                if not name or code not in _HMDB51_ROLES:
                    raise UserError(
                        f"{where}: expected a file name and 0, 1 or 2. "
                        f"Received: {line!r}"
                    )
                name = name.strip()
                start, found, _ = name.rpartition(f"_{label}_")
                group = f"{label}/{start if found else name}"
                role = _HMDB51_ROLES[code]
                _add(listed, f"{label}/{name}", label, group, split, role, where)
    return _on_disk(folder, frames, lists, listed, classes, splits)


def _matching(lists: Path, pattern: re.Pattern, expected: str) -> list[re.Match]:
    if not lists.is_dir():
        raise UserError(
            f"--split_lists must be the folder of the official lists. Received: {lists}"
        )
    found = [pattern.fullmatch(path.name) for path in sorted(lists.iterdir())]
    matches = [match for match in found if match]
    if not matches:
        raise UserError(
            f"--split_lists must hold {expected}. Received: {lists}, which has none"
        )
    return matches


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are not blank, without line ends of either kind."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(
            f"the official lists must be complete: {path} cannot be read "
            f"({error.strerror})"
        ) from error
    numbered = enumerate((line.strip() for line in text.split("\n")), 1)
    return [(number, line) for number, line in numbered if line]


def _ucf101_classes(lists: Path) -> dict[str, tuple[int, str]]:
    """Number and name of each class, by the lower-case form of its name."""
    path = lists / "classInd.txt"
    classes = {}
    for number, line in _lines(path):
        index, _, name = line.partition(" ")
        if not index.isdigit() or not name:
            raise UserError(
                f"{path}, line {number}: expected a number and a class. "
                f"Received: {line!r}"
            )
        classes[name.lower()] = int(index), name
    return classes


def _ucf101_entry(
    line: str, classes: dict[str, tuple[int, str]], where: str
) -> tuple[str, str]:
    """The path and class of a line such as `Class/v_Class_g08_c01.avi 3`."""
    name, _, index = line.rpartition(" ")
    if not name or not index.isdigit():
        name, index = line, ""  # a test list gives no class number
    number, label = classes.get(name.partition("/")[0].lower(), (0, ""))
    if not label or "/" not in name:
        raise UserError(
            f"{where}: expected a video in a folder named by a class of "
            f"classInd.txt. Received: {line!r}"
        )
    if index and int(index) != number:
        raise UserError(
            f"{where}: expected {number}, the number that classInd.txt gives {label}. "
            f"Received: {index}"
        )
    return name, label


def _ucf101_group(name: str) -> str:
    stem = PurePosixPath(name).stem
    match = _UCF101_GROUP.fullmatch(stem)
    return match[1] if match else stem


def _add(
    listed: dict[str, _Listed],
    name: str,
    label: str,
    group: str,
    split: int,
    role: str,
    where: str,
) -> None:
    # The lists disagree on the case of some names.
    entry = listed.setdefault(name.lower(), _Listed(name, label, group))
    if entry.roles.setdefault(split, role) != role:
        raise UserError(
            f"{where}: a video must be on one side of split {split}. "
            f"Received {name} in train and test"
        )


def _on_disk(
    folder: Path,
    frames: bool,
    lists: Path,
    listed: dict[str, _Listed],
    classes: Sequence[str],
    splits: Sequence[int],
) -> Inputs:
    """Match what is listed with what is there."""
    files = list_files(folder, frames)
    exact = set(files)
    lower = {file.lower(): file for file in files}
    videos: dict[str, Video] = {}
    for entry in listed.values():
        name = entry.name
        if frames:  # a folder has no suffix, and often no class above it
            name = name.rpartition(".")[0]
            short = lower.get(name.lower().rpartition("/")[2])
        else:
            short = None
        file = name if name in exact else lower.get(name.lower(), short)
        if file is not None:
            roles = "".join(entry.roles.get(split, "u") for split in splits)
            videos[file] = Video(file, entry.label, entry.group, roles)
    if not videos:
        example = next((entry.name for entry in listed.values()), "none")
        raise UserError(
            f"--videos must hold the videos that {lists} names, such as {example}. "
            f"Received: {folder}, where none of the {len(listed)} is among "
            f"{len(files)} files"
        )
    present = {video.label for video in videos.values()}
    return Inputs(
        folder=folder,
        labels=tuple(label for label in classes if label in present),
        videos=tuple(videos[name] for name in sorted(videos)),
        unlisted=tuple(file for file in files if file not in videos),
        absent=len(listed) - len(videos),
    )
