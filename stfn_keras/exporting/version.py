"""The folder of a version: a new number, published whole or not at all.

with published(name / str(next_version(name))) as aside:
    ...  # write to `aside`
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.files import sha256
from stfn_keras.serving.folder import CONFIG, EXTRA, is_version

_ASIDE = ".partial-"  # begins the names of unpublished versions


def next_version(name: Path) -> int:
    """The version after the newest one in an export directory.

    Raises:
        UserError: The folder holds something else than our versions.
    """
    if not name.exists():
        return 1
    if not name.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {name}")
    entries = [e for e in name.iterdir() if not e.name.startswith(_ASIDE)]
    for entry in entries:
        if not (is_version(entry.name) and (entry / EXTRA / CONFIG).is_file()):
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _aside(folder.parent) as aside:
        yield aside
        _sync(aside)
        if folder.exists():
            raise UserError(
                f"{folder} was published by another process meanwhile; nothing was "
                "changed, export again"
            )
        os.rename(aside, folder)
        _sync_entries(folder.parent)


@contextlib.contextmanager
def _aside(parent: Path) -> Iterator[Path]:
    """Give a new folder, locked while the `with` lasts; remove what was abandoned."""
    with _locked(parent):  # nobody takes the new folder for abandoned before its lock
        for left in parent.glob(f"{_ASIDE}*"):
            with _locked(left, wait=False) as abandoned:
                if abandoned:
                    shutil.rmtree(left, ignore_errors=True)
        # Not `mkdtemp`: other users, such as a server's, shall read it.
        aside = parent / f"{_ASIDE}{uuid.uuid4().hex}"
        aside.mkdir()
        holding = contextlib.ExitStack()
        holding.enter_context(_locked(aside))
    with holding:
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Lock a folder; the system drops the lock with its process.

    Gives whether it could: where a system cannot lock folders (Windows, NFS) never.
    """
    try:
        import fcntl  # not on Windows

        held = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            done = True
        except OSError:
            done = False
        yield done
    finally:
        os.close(held)


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
        else:
            _sync_entries(path)
    _sync_entries(folder)


def _sync_entries(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
