"""Archives, and archives within them, unpacked through libarchive.

    found = unpack(Path("hmdb51_org.rar"), Path("videos"), ".avi", folders=True)
    found.files  # 6766

An archive is foreign matter: only regular files of the wanted kind are written, each
to `<class>/<name>` (or `<name>`) below the target, whatever path it has inside. A
path that leads elsewhere, a link or a device refuses the whole archive, before
anything of it is written. Needs `pip install '.[fetch]'`.
"""

import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data_prep.fetching.archive import Member, read_archive, shown
from stfn_keras.errors import UserError

MAX_BYTES = 100_000_000_000
MAX_ENTRIES = 1_000_000

_NESTED = (".rar", ".zip")


@dataclass
class Found:
    """What an archive held.

    Attributes:
        files: Wanted files, all of them below the target now.
        bytes: Their size in sum, and that of archives within the archive.
        ignored: Names of files that are not wanted.
        unchecked: Names of wanted files whose content no checksum could be compared
            with: the archive states none, or none that can be told to be theirs.
    """

    files: int = 0
    bytes: int = 0
    ignored: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    """A file of an archive and its place.

    Attributes:
        member: As the archive has it.
        target: Where it goes, relative to the target folder; empty: nowhere.
        nested: Whether it is an archive to be unpacked in its turn.
    """

    member: Member
    target: str
    nested: bool = False


def unpack(
    archive: Path,
    into: Path,
    suffix: str,
    folders: bool,
    max_bytes: int = MAX_BYTES,
) -> Found:
    """Unpack the wanted files of an archive, and of archives directly within it.

    Files that are there with the right size are kept: an unpacking that was stopped
    continues. A file is whole or absent; beside `into`, files named after it with
    `.unpacking` hold what is being written.

    Args:
        archive: RAR 4 or 5, zip, 7-zip, or tar (plain, gzip, bzip2, xz).
        into: The target; only this program writes there.
        suffix: Of wanted files, in lower case, such as `.avi`.
        folders: Keep the last folder of a path (in an archive within the archive
            that has none: its name) as the class; else all files go side by side.
        max_bytes: Most bytes to unpack in all, archives within included.

    Raises:
        UserError: The archive is damaged, cut off, no archive or a dangerous one,
            holds a name twice or more than `max_bytes`, or the disk is full.
    """
    run = _Run(into, suffix, folders, max_bytes)
    try:
        into.mkdir(parents=True, exist_ok=True)
        run.unpack(archive, archive.name)
    except OSError as error:
        raise UserError(
            f"cannot unpack {archive}: {error.strerror or error}; mend that, then the "
            "same command continues"
        ) from error
    except UnicodeError as error:
        raise UserError(
            f"{archive} holds a name that this file system cannot ({error})"
        ) from error
    return run.found


class _Run:
    """One unpacking: its settings and what it found so far."""

    def __init__(self, into: Path, suffix: str, folders: bool, max_bytes: int) -> None:
        self.into, self.suffix, self.folders = into, suffix, folders
        self.max_bytes = max_bytes
        self.found = Found()
        self.taken: set[str] = set()
        self.aside = into.with_name(f"{into.name}.unpacking")

    def unpack(self, archive: Path, title: str, outer: str = "") -> None:
        """Unpack one archive; `outer` is the class if its paths name none."""
        total = missing = archives = 0
        for count, (entry, _) in enumerate(self.entries(archive, title, outer), 1):
            if count > MAX_ENTRIES:
                raise UserError(f"{title} must hold {MAX_ENTRIES:,} files at most")
            self.check(entry, title)
            size = entry.member.size if entry.target else 0
            total += size
            if entry.nested:
                archives += size
            elif size and not _is_whole(self.into / entry.target, size):
                missing += size
        self.check_limit(total, title)
        self.check_disk(missing, archives)
        description = f"unpacking {title}"
        with tqdm(
            total=total,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            desc=description,
            leave=not outer,
        ) as bar:
            for entry, blocks in self.entries(archive, title, outer):
                if entry.nested:
                    self.unpack_nested(entry, blocks, bar, title)
                elif entry.target:
                    self.write(entry, self.into / entry.target, blocks, bar, title)
                    self.found.files += 1
                    if not entry.member.is_checked:
                        self.found.unchecked.append(entry.member.name)
                else:
                    self.found.ignored.append(entry.member.name)

    def check(self, entry: _Entry, title: str) -> None:
        """Each target is written once: nothing is overwritten unseen."""
        if not entry.target:
            return
        if entry.target in self.taken:
            raise UserError(
                f"{title} must hold each file once. Received "
                f"{shown(entry.target)} twice"
            )
        self.taken.add(entry.target)

    def check_limit(self, size: int, title: str) -> None:
        """Refuse before writing what is too much in all."""
        self.found.bytes += size
        if self.found.bytes > self.max_bytes:
            raise UserError(
                f"{title} must unpack to {self.max_bytes:,} bytes at most "
                f"(--max_bytes). Received: {self.found.bytes:,}"
            )

    def check_disk(self, missing: int, archives: int) -> None:
        """Refuse before writing what the disk cannot hold.

        Args:
            missing: Bytes of wanted files that are not there yet.
            archives: Bytes of archives within. What they hold takes as much at least,
                less what an earlier run has unpacked of it; each is looked at again
                in its turn.
        """
        if archives:
            there = sum(f.stat().st_size for f in self.into.rglob("*") if f.is_file())
            missing += max(archives - there, 0)
        free = shutil.disk_usage(self.into).free
        if missing > free:
            raise OSError(
                errno.ENOSPC, f"{missing:,} bytes are to be written, {free:,} are free"
            )

    def unpack_nested(
        self, entry: _Entry, blocks: Iterator[bytes], bar: tqdm, title: str
    ) -> None:
        """Unpack an archive within the archive; what an earlier run did is kept."""
        inner = self.aside.with_name(f"{self.aside.name}.{entry.target}")
        self.write(entry, inner, blocks, bar, title)
        self.unpack(inner, f"{title}: {shown(entry.member.name)}", _stem(entry.target))
        inner.unlink()

    def write(
        self,
        entry: _Entry,
        target: Path,
        blocks: Iterator[bytes],
        bar: tqdm,
        title: str,
    ) -> None:
        """Write one file aside, and rename it when all of it is on the disk."""
        member = entry.member
        # Belt and braces: names are checked, but a folder may be a planted link.
        # Only an archive within lies beside the target, while it is unpacked.
        within = self.into.parent if entry.nested else self.into
        if not target.parent.resolve().is_relative_to(within.resolve()):
            raise UserError(
                f"{target.parent} must lie below {within}. Received: a link "
                f"to {target.parent.resolve()}; remove it"
            )
        if _is_whole(target, member.size):
            bar.update(member.size)
            return
        target.parent.mkdir(exist_ok=True)
        size = crc = 0
        self.aside.unlink(missing_ok=True)
        with self.aside.open("xb") as file:
            for block in blocks:
                size += len(block)
                if size > member.size:
                    break
                crc = zlib.crc32(block, crc)
                file.write(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())
        if size != member.size or member.crc not in (None, crc):
            raise UserError(
                f"{title} is damaged: {shown(member.name)} must have {member.size:,} "
                f"bytes and its stated checksum. Received: {size:,} and another one; "
                "get it again, then the same command continues"
            )
        os.replace(self.aside, target)

    def entries(
        self, archive: Path, title: str, outer: str
    ) -> Iterator[tuple[_Entry, Iterator[bytes]]]:
        for member, blocks in read_archive(archive, title):
            yield self.placed(member, title, outer), blocks

    def placed(self, member: Member, title: str, outer: str) -> _Entry:
        """Where a file goes: the class and the name, whatever lies above.

        Raises:
            UserError: The class is no name of a folder: `...rar` would name the class
                `..`, the folder above the target.
        """
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        *above, last = parts or [""]
        lower = last.lower()
        if last.startswith("._") or "__MACOSX" in above:
            return _Entry(member, "")  # what a Mac adds to a file of that name
        if self.folders and not outer and lower.endswith(_NESTED):
            _check_class(_stem(last), member, title)
            return _Entry(member, last, nested=True)
        label = above[-1] if above else outer
        if not lower.endswith(self.suffix) or (self.folders and not label):
            return _Entry(member, "")
        if not self.folders:
            return _Entry(member, last)
        _check_class(label, member, title)
        return _Entry(member, f"{label}/{last}")


def _stem(name: str) -> str:
    """The name of an archive within, without its suffix: the class of its files."""
    return name.rpartition(".")[0]


def _check_class(label: str, member: Member, title: str) -> None:
    """Refuse "", "." and "..", and what some systems take for one of them."""
    if not label.strip(". "):
        raise UserError(
            f"{title} must name each class by more than dots. Received: "
            f"{shown(member.name)}; nothing of it was unpacked"
        )


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == size
