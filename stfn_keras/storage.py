"""Files of a dataset, in a local folder or behind an address such as s3://bucket/ucf.

    put(Path("part"), "s3://bucket/ucf/a.tfrecord")
    read_text(join("s3://bucket/ucf", "manifest.json"))

A file is whole or absent: renamed into place in a folder and behind file:// and
sftp://, and object stores (s3, gs, az, ...) take it whole. Other schemes, such as ftp
and smb, are written in place: what a killed process left there may be cut.

Addresses need `pip install '.[remote]'`. Credentials and end points are those
of the schemes' own tools: AWS_PROFILE, AWS_ENDPOINT_URL, fsspec's configuration, ...
"""

import contextlib
import errno
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from stfn_keras.errors import UserError
from stfn_keras.files import write_text as write_local_text
from stfn_keras.files import written_aside

# By what an error of a scheme's library says of itself: what the user may do.
_HINTS = {
    "credentials": "log in with the scheme's own tool, such as `aws configure`, or "
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "bucket does not exist": "create the bucket first, or correct its name",
    "connect": "check the network, and AWS_ENDPOINT_URL if it is set",
    "timeout": "check the network, and AWS_ENDPOINT_URL if it is set",
    "timed out": "check the network, and AWS_ENDPOINT_URL if it is set",
    "denied": "ask for the right to read and write there",
    "forbidden": "ask for the right to read and write there",
    "notimplemented": "this scheme is read only: choose another",
}

# Where a file grows as it is written, and a rename replaces one that is there.
_RENAMING = {"file", "local", "sftp", "ssh"}
# Errors of writing that no store gives while it is read: the local disk's.
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
        with _reporting(location, "written"):
            system, path = _remote(location)
            with _written_aside(location, system, path) as aside:
                system.put_file(str(local), aside)
                system.invalidate_cache()
                sent, stored = local.stat().st_size, int(system.info(aside)["size"])
                if sent != stored:
                    raise OSError(f"{stored} of {sent} bytes arrived")
            local.unlink()
        return
    try:
        local.replace(location)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise UserError(
                f"cannot write {location}: {error.strerror or error}"
            ) from error
        with written_aside(Path(location)) as aside:  # from another file system
            shutil.copyfile(local, aside)
        local.unlink()


def get(location: str, local: Path) -> None:
    """Copy a file to a local path; what it holds on an error is undefined.

    Raises:
        FileNotFoundError: There is none.
        UserError: It cannot be read.
        OSError: The local path cannot be written: what to do about it knows who
            chose that path.
    """
    if not is_remote(location):
        shutil.copyfile(location, local)
        return
    try:
        local.open("wb").close()  # told apart from what the scheme's library raises
    except FileNotFoundError:
        raise OSError(f"{local.parent} is not there") from None
    with _reporting(location, "read", through=_DISK_FULL):
        system, path = _remote(location)
        system.get_file(path, str(local))


def read_text(location: str) -> str:
    """Read a small text file.

    Raises:
        FileNotFoundError: There is none.
        UserError: It cannot be read.
    """
    if is_remote(location):
        with _reporting(location, "read"):
            system, path = _remote(location)
            return system.cat_file(path).decode()
    return Path(location).read_text(encoding="utf-8")


def write_text(location: str, text: str) -> None:
    """Write a small text file, whole or not at all.

    Raises:
        UserError: The place cannot be written.
    """
    if is_remote(location):
        with _reporting(location, "written"):
            system, path = _remote(location)
            with _written_aside(location, system, path) as aside:
                system.pipe_file(aside, text.encode())
    else:
        write_local_text(Path(location), text)


def size(location: str) -> int | None:
    """Bytes of a file; None where there is none.

    Raises:
        UserError: The store cannot be reached.
    """
    try:
        if is_remote(location):
            with _reporting(location, "read"):
                system, path = _listing(location)
                found = system.info(path)
                return int(found["size"]) if found["type"] == "file" else None
        return Path(location).stat().st_size
    except FileNotFoundError:
        return None


def sizes(location: str) -> dict[str, int]:
    """Bytes of every file in a folder by name; {} where none is. One request.

    Raises:
        UserError: The store cannot be reached.
    """
    try:
        if is_remote(location):
            with _reporting(location, "read"):
                system, path = _listing(location)
                listed = system.ls(path, detail=True)
                return {
                    _name(item["name"]): int(item["size"])
                    for item in listed
                    if item["type"] == "file" and item["size"] is not None
                }
        return {
            item.name: item.stat().st_size
            for item in Path(location).iterdir()
            if item.is_file()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def names(location: str) -> list[str]:
    """Names of the files and folders inside a folder, sorted; [] where none is.

    Raises:
        UserError: The store cannot be reached.
    """
    try:
        if is_remote(location):
            with _reporting(location, "read"):
                system, path = _listing(location)
                listed = [_name(item) for item in system.ls(path, detail=False)]
                # A store may hold an empty object that stands for the folder.
                return sorted({name for name in listed if name != _name(path)})
        return sorted(item.name for item in Path(location).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def delete(location: str) -> None:
    """Delete a file.

    Raises:
        FileNotFoundError: There is none (some stores do not say so).
        UserError: It cannot be deleted.
    """
    if is_remote(location):
        with _reporting(location, "deleted"):
            system, path = _remote(location)
            system.rm_file(path)
    else:
        Path(location).unlink()


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _listing(location: str) -> tuple[Any, str]:
    """As `_remote`, for what is there now: fsspec remembers what it has listed."""
    system, path = _remote(location)
    system.invalidate_cache()
    return system, path


def _remote(location: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{location} needs a package for its scheme: pip install "
            f"'.[remote]' ({_line(error)})"
        ) from error


@contextlib.contextmanager
def _written_aside(location: str, system: Any, path: str) -> Iterator[str]:
    """Where to write a file so that it is whole or absent at `path`."""
    if location.partition("://")[0] not in _RENAMING:
        yield path
        return
    # The same name always: what a killed process left is written over.
    aside = f"{path}.partial"
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    try:
        yield aside
        system.mv(aside, path)
    except BaseException:
        with contextlib.suppress(Exception):
            system.rm_file(aside)
        raise


@contextlib.contextmanager
def _reporting(
    location: str, done: str, through: Collection[int] = ()
) -> Iterator[None]:
    """Turn what a scheme's library raises into one line with a hint.

    Args:
        location: The address.
        done: What is tried: read, written or deleted.
        through: Numbers of `errno` whose errors are not the address's fault.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        # A missing file is an answer; a missing bucket is what the user must mend.
        if done == "read" or "bucket" not in str(error):
            raise
        raise _user_error(location, done, error) from error
    # Each scheme has a library with errors of its own, few of them OSErrors.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in through:
            raise
        raise _user_error(location, done, error) from error


def _user_error(location: str, done: str, error: Exception) -> UserError:
    said = f"{type(error).__name__} {error}".lower()
    hint = next((hint for word, hint in _HINTS.items() if word in said), "")
    return UserError(
        f"{location} cannot be {done}: {_line(error)}" + (hint and f"; {hint}")
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
