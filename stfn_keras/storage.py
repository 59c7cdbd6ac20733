"""Files of a dataset, in a local folder or behind an address such as s3://bucket/ucf.

    put(Path("part"), "s3://bucket/ucf/a.tfrecord")
    read_text(join("s3://bucket/ucf", "manifest.json"))

A file is whole or absent: renamed into place locally, uploaded at once remotely.
Addresses need `pip install stfn-keras[remote]`.
"""

from pathlib import Path
from typing import Any

from stfn_keras.errors import UserError
from stfn_keras.files import write_text as write_local_text


def is_remote(location: str | Path) -> bool:
    """Whether a location is an address with a scheme, not a local path."""
    return "://" in str(location)


def join(location: str, name: str) -> str:
    """The location of a file inside a folder."""
    return f"{location.rstrip('/')}/{name}"


def put(local: Path, location: str) -> None:
    """Move a finished local file to its place.

    Raises:
        UserError: The place cannot be written, or its scheme needs a package.
    """
    if is_remote(location):
        system, path = _remote(location)
        system.put_file(str(local), path)
        local.unlink()
    else:
        local.replace(location)


def read_text(location: str) -> str:
    """Read a small text file.

    Raises:
        FileNotFoundError: There is none.
    """
    if is_remote(location):
        system, path = _remote(location)
        return system.cat_file(path).decode()
    return Path(location).read_text(encoding="utf-8")


def write_text(location: str, text: str) -> None:
    """Write a small text file, whole or not at all."""
    if is_remote(location):
        system, path = _remote(location)
        system.pipe_file(path, text.encode())
    else:
        write_local_text(Path(location), text)


def size(location: str) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        if is_remote(location):
            system, path = _remote(location)
            system.invalidate_cache()
            return int(system.info(path)["size"])
        return Path(location).stat().st_size
    except FileNotFoundError:
        return None


def names(location: str) -> list[str]:
    """Names of the files and folders inside a folder, sorted; [] where none is."""
    try:
        if is_remote(location):
            system, path = _remote(location)
            system.invalidate_cache()
            listed = system.ls(path, detail=False)
            return sorted(item.rstrip("/").rpartition("/")[2] for item in listed)
        return sorted(item.name for item in Path(location).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def delete(location: str) -> None:
    """Delete a file."""
    if is_remote(location):
        system, path = _remote(location)
        system.rm_file(path)
    else:
        Path(location).unlink()


def _remote(location: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{location} needs a package for its scheme: pip install "
            f"'stfn-keras[remote]' ({error})"
        ) from error
