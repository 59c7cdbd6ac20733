"""The folder of a version: a new number, published whole or not at all.

with published(name / str(next_version(name))) as aside:
    ...  # write to `aside`
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.files import sha256
from stfn_keras.serving.folder import CONFIG, EXTRA


def next_version(name: Path) -> int:
    """The version after the newest one in an export directory.

    Raises:
        UserError: The folder holds something else than our versions.
    """
    if not name.exists():
        return 1
    if not name.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {name}")
    entries = [e for e in name.iterdir() if not e.name.startswith(".partial")]
    for entry in entries:
        if not (entry.name.isdigit() and (entry / EXTRA / CONFIG).is_file()):
            raise UserError(
                f"--out must be a new folder or one of exported versions: {name} holds "
                f"{entry.name}; nothing was changed"
            )
    return max((int(e.name) for e in entries), default=0) + 1


@contextlib.contextmanager
def published(folder: Path) -> Iterator[Path]:
    """Give a folder to write to; rename it on success, remove it otherwise.

    Raises:
        UserError: Meanwhile somebody else published that version.
    """
    aside = folder.with_name(f".partial-{os.getpid()}-{folder.name}")
    aside.mkdir(parents=True)
    try:
        yield aside
        _sync(aside)
        if folder.exists():
            raise UserError(
                f"{folder} was published by another process meanwhile; nothing was "
                "changed, export again"
            )
        os.rename(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path inside the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def size(folder: Path) -> int:
    """Bytes of every file."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sync(folder: Path) -> None:
    """Bring every file to the disk, so that a renamed version is never hollow."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
