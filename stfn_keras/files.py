"""Files that are whole or absent: written aside, synced, then renamed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stfn_keras.errors import UserError


def aside_of(path: Path) -> Path:
    """Where a file is written before it takes its name."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path with the same suffix; rename it on success.

    Its name is always the same, so what a killed process left is written over.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def shown(path: str | os.PathLike) -> str:
    r"""A path as text; bytes of it that are no text become \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def read_json(path: Path, what: str) -> dict:
    """Read a JSON object.

    Raises:
        UserError: The file is missing, unreadable, or no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"expected {what}: {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise UserError(f"expected {what}: {path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"expected {what}: {path} holds no JSON object")
    return value


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
