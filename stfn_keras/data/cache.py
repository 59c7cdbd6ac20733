"""A bounded cache of the shards of datasets behind addresses.

    cache = ShardCache.open(mirror("s3://bucket/ucf101", CacheConfig()))
    with cache.shard("ucf101-rrr-00000-of-00100.tfrecord") as path:
        ...

A shard comes when it is first read: written aside, compared with the manifest's
SHA-256, renamed. Several processes may share the cache's folder. Three locks of the
operating system (`flock`, which ends with its process however that dies) keep them
apart:

- a reader holds its shard shared, for as long as it reads;
- who fetches a shard holds its partial file exclusively; others wait for it;
- who makes room holds the cache's `.lock`. It deletes the least recently used shards
  that it can lock exclusively, hence never one that is being read or fetched.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from stfn_keras import storage
from stfn_keras.data.locks import LOCK, locked, making
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.mirrors import Remote
from stfn_keras.errors import UserError
from stfn_keras.files import sha256

PARTIAL = ".partial"
ATTEMPTS = 2


@dataclass(frozen=True)
class ShardCache:
    """The shards of one mirror.

    Attributes:
        folder: The mirror.
        location: The dataset's address.
        limit: Bytes that the whole cache may take.
        shards: By file name.
    """

    folder: Path
    location: str
    limit: int
    shards: dict[str, Shard]

    @classmethod
    def open(cls, folder: Path) -> "ShardCache":
        """The cache of a mirror.

        Raises:
            UserError: The folder is no mirror.
        """
        about = Remote.of(folder)
        if about is None:
            raise UserError(f"{folder} must be a mirror of remote data")
        shards = {shard.file: shard for shard in Manifest.load(folder).shards}
        return cls(folder, about.location, int(about.gigabytes * 1e9), shards)

    @contextlib.contextmanager
    def shard(self, file: str) -> Iterator[Path]:
        """A shard's local path; it stays there within the `with` block.

        Raises:
            UserError: It cannot be fetched, or is not what the manifest says.
        """
        held = self.hold(file)
        try:
            yield self.folder / file
        finally:
            os.close(held)

    def hold(self, file: str) -> int:
        """Fetch a shard if it is not there, and keep it from being deleted.

        Returns:
            A file descriptor; the shard is kept until it is closed.

        Raises:
            UserError: As `shard`.
        """
        shard = self.shards[file]
        while True:
            if (held := self._held(shard)) is not None:
                return held
            with making(self.folder), locked(self.folder.parent / LOCK):
                if (self.folder / file).exists():
                    continue
                partial, ours = self._partial(shard)
            try:
                if ours:
                    self._fetch(shard, self._partial_path(shard))
                else:
                    fcntl.flock(partial, fcntl.LOCK_SH)  # until it has been fetched
            finally:
                os.close(partial)

    def _held(self, shard: Shard) -> int | None:
        """Lock a cached shard shared; None if it is not there, or not whole."""
        path = self.folder / shard.file
        try:
            held = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(held, fcntl.LOCK_SH)
        if _is_at(held, path):
            if os.fstat(held).st_size == shard.bytes:
                os.utime(path)  # when it was last used
                return held
            with locked(self.folder.parent / LOCK):
                path.unlink(missing_ok=True)
        os.close(held)
        return None

    def _partial_path(self, shard: Shard) -> Path:
        # Its name says how many bytes it will have, for those who make room.
        return self.folder / f"{shard.file}.{shard.bytes}{PARTIAL}"

    def _partial(self, shard: Shard) -> tuple[int, bool]:
        """Open the partial file; whether we are the one to fill it, and hold it."""
        partial = os.open(self._partial_path(shard), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if ours := _lock_now(partial):
                # Also where a killed process left the file: its room may be gone.
                _make_room(self.folder.parent, self.limit)
        except BaseException:
            os.close(partial)
            raise
        return partial, ours

    def _fetch(self, shard: Shard, partial: Path) -> None:
        location = storage.join(self.location, shard.file)
        try:
            self._fetch_whole(location, shard, partial)
        except BaseException as error:
            # On an error alone: once renamed, another process may have made its own.
            with contextlib.suppress(OSError):
                partial.unlink()
            if not isinstance(error, OSError):
                raise
            raise UserError(
                f"cannot keep {location} in {self.folder}: {error.strerror or error}; "
                "make room, or choose another --data_cache"
            ) from error

    def _fetch_whole(self, location: str, shard: Shard, partial: Path) -> None:
        for _ in range(ATTEMPTS):
            try:
                storage.get(location, partial)
            except FileNotFoundError:
                raise UserError(f"{location} is missing: upload it again") from None
            if sha256(partial) == shard.sha256:
                with partial.open("rb") as stream:
                    os.fsync(stream.fileno())
                with locked(self.folder.parent / LOCK):
                    os.replace(partial, self.folder / shard.file)
                return
            logging.warning("%s came damaged and is fetched again", location)
        raise UserError(
            f"{location} is not what its manifest says (fetched {ATTEMPTS} times, "
            "SHA-256 differs): upload it again, or prepare the data again"
        )


def _make_room(root: Path, limit: int) -> None:
    """Delete least recently used shards of any mirror until all fit.

    A partial file that someone holds, the caller's too, counts as the whole shard.
    """
    sizes, used = {}, {}
    for path in root.glob("*/*.tfrecord*"):
        if path.suffix != PARTIAL:
            status = path.stat()
            sizes[path], used[path] = status.st_size, status.st_mtime_ns
        elif not _delete(path):  # else a killed process left it
            sizes[path] = int(path.suffixes[-2][1:])
    total = sum(sizes.values())
    for path in sorted(used, key=lambda path: used[path]):
        if total <= limit:
            return
        if _delete(path):
            total -= sizes[path]
    if total > limit:
        logging.warning(
            "the shards in use at once take %.2f GB in %s, more than --data_cache_gb",
            total / 1e9,
            root,
        )


def _delete(path: Path) -> bool:
    """Delete a file unless someone holds it; whether it is gone."""
    try:
        held = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        if free := _lock_now(held):
            path.unlink(missing_ok=True)
        return free
    finally:
        os.close(held)


def _lock_now(file: int) -> bool:
    """Lock an open file exclusively, if nobody else holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file still has the name that it was opened by."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False
