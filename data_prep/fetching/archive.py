"""Reading archives through libarchive, as foreign matter that may lie.

    for member, blocks in read_archive(Path("UCF101.rar"), "UCF101.rar"):
        ...

Only RAR 4 and 5, zip, 7-zip and tar are read. A path that leads out of the archive's
own folder, a link or a device refuses the archive. The library comes with the wheel
of `archi`, else from the system; `libarchive-c` speaks to either.
"""

import contextlib
import ctypes
import importlib
import importlib.metadata
import itertools
import logging
import os
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.fetching.rar_sums import RAR4, RAR5, stated_sums
from stfn_keras.errors import UserError

BLOCK = 1 << 18  # bytes read at once

_LIBRARY = re.compile(r"(lib)?archive[-.\d].*(so|dylib|dll)[.\d]*")
# First bytes -> libarchive's names of the format and the compression around it. No
# others are tried: some of libarchive's formats name files outside the archive.
_FORMATS = (
    (RAR4, "rar", "none"),
    (RAR5, "rar5", "none"),
    (b"PK\x03\x04", "zip_seekable", "none"),
    (b"PK\x05\x06", "zip_seekable", "none"),
    (b"7z\xbc\xaf\x27\x1c", "7zip", "none"),
    (b"\x1f\x8b", "tar", "gzip"),
    (b"BZh", "tar", "bzip2"),
    (b"\xfd7zXZ\x00", "tar", "xz"),
)
_TAR_MAGIC = slice(257, 262)
_CHECKED = ("zip_seekable", "7zip")  # libarchive compares each file's checksum


@dataclass(frozen=True)
class Member:
    """A regular file in an archive.

    Attributes:
        name: Its path there, parts divided by `/`.
        size: In bytes, as stated.
        crc: Its CRC-32 to compare with, where a RAR archive states it.
        is_checked: Whether a checksum of its own vouches for the content: `crc`, or
            in zip and 7-zip the one that libarchive compares. A tar holds none.
    """

    name: str
    size: int
    crc: int | None
    is_checked: bool


def read_archive(path: Path, title: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """The regular files of an archive, in its order, each with its content.

    The content may be left unread, or must be read before the next file is asked for.

    Args:
        path: The archive.
        title: What messages call it.

    Raises:
        UserError: It is damaged, cut off or no archive, holds a link, a device or a
            path that leads elsewhere, or libarchive is missing.
    """
    library = load_library()
    sums = stated_sums(path)
    with _opened(library, path, title) as (pointer, kind):
        entries = iter(library.read.ArchiveRead(pointer))
        for place in itertools.count():
            with _damage_told(library, title):
                raw = next(entries, None)
            if raw is None:
                return
            name = _name(raw, title)
            if _is_file(raw, name, title):
                # Should the two ever count entries differently, nothing is claimed.
                size, crc = sums[place] if place < len(sums) else (0, None)
                crc = crc if size == raw.size % (1 << 32) else None
                is_checked = crc is not None or kind in _CHECKED
                member = Member(name, raw.size, crc, is_checked)
                yield member, _blocks(library, pointer, title)


def load_library() -> types.ModuleType:
    """The module `libarchive`, over the library that the wheel of `archi` brings.

    Raises:
        UserError: It, or any libarchive, is missing.
    """
    if "LIBARCHIVE" not in os.environ and (bundled := _bundled()):
        os.environ["LIBARCHIVE"] = bundled  # read when the module is first imported
    try:
        module = importlib.import_module("libarchive")
    except (ImportError, OSError, AttributeError, TypeError) as error:
        raise UserError(
            "unpacking needs libarchive: run `pip install '.[fetch]'` in the "
            "checkout (where pip finds no wheel of archi, also install your system's "
            "libarchive). "
            f"Received: {error}"
        ) from error
    # Warnings are judged here by their return codes.
    logging.getLogger("libarchive").setLevel(logging.ERROR)
    return module


def shown(name: str) -> str:
    """A name as one printable word, however odd."""
    return repr(name) if name.isprintable() else ascii(name)


def _bundled() -> str:
    """The libarchive of the installed `archi`, which is never imported."""
    try:
        files = importlib.metadata.files("archi") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    return next((str(f.locate()) for f in files if _LIBRARY.fullmatch(f.name)), "")


def _name(raw: Any, title: str) -> str:
    """The path of an entry; one that leads out of any folder refuses the archive."""
    path = raw.pathname
    if path is None:
        raise UserError(f"{title} holds a name that cannot be read: not unpacked")
    # Bytes that are no text of this system become what Python gives for such files.
    name = os.fsdecode(path) if isinstance(path, bytes) else path
    parts = re.split(r"[/\\]", name)
    leads_out = ".." in parts or name.startswith(("/", "\\"))
    if leads_out or any(re.match("[A-Za-z]:", part) for part in parts):
        raise UserError(
            f"{title} must hold paths within its own folder. Received: {shown(name)}; "
            "nothing of it was unpacked"
        )
    return name


def _is_file(raw: Any, name: str, title: str) -> bool:
    """True for regular files, False for folders; anything else is refused."""
    if raw.issym or raw.islnk:
        what = f"a link to {shown(str(raw.linkpath))}"
    elif raw.isdir:
        return False
    elif raw.isreg and raw.size is None:
        what = "a file of no stated size, such as a copy of another"
    elif raw.isreg:
        return True
    else:
        what = "a device or the like"
    raise UserError(
        f"{title} must hold files and folders only. Received: {shown(name)}, {what}; "
        "nothing of it was unpacked"
    )


def _blocks(library: types.ModuleType, pointer: Any, title: str) -> Iterator[bytes]:
    """The content of the current entry. A warning, too, means that it is not whole."""
    buffer = ctypes.create_string_buffer(BLOCK)
    while True:
        with _damage_told(library, title):
            size = library.ffi.read_data(pointer, buffer, BLOCK)
            if size < 0:
                raise library.ffi.archive_error(pointer, size)
        if not size:
            return
        yield buffer.raw[:size]


@contextlib.contextmanager
def _damage_told(library: types.ModuleType, title: str) -> Iterator[None]:
    try:
        yield
    except library.exception.ArchiveError as error:
        raise UserError(
            f"{title} is damaged or cut off ({error.msg or 'no reason given'}): get "
            "it again, then the same command continues"
        ) from error


@contextlib.contextmanager
def _opened(
    library: types.ModuleType, archive: Path, title: str
) -> Iterator[tuple[Any, str]]:
    """A libarchive handle on a file, and the one format that its start shows."""
    # Unbuffered: libarchive goes on where the descriptor itself stands.
    with archive.open("rb", buffering=0) as file:
        start = file.read(512)
        file.seek(0)
        known = [rest for magic, *rest in _FORMATS if start.startswith(magic)]
        if start[_TAR_MAGIC] == b"ustar":
            known = [["tar", "none"]]
        if not known:
            page = ", but a web page" if start.lstrip()[:1] == b"<" else ""
            raise UserError(
                f"expected {title} to be an archive: RAR, zip, 7-zip or tar. Received: "
                f"none of these{page}; get it again"
            )
        (kind, around), *_ = known
        with library.read.new_archive_read(kind, around) as pointer:
            with _damage_told(library, title):
                library.ffi.read_open_fd(pointer, file.fileno(), BLOCK)
            yield pointer, kind
