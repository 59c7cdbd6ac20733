"""Datasets behind an address, as local dataset directories.

    folder = mirror("s3://bucket/ucf101", CacheConfig(data_cache_gb=20))
    manifest = Manifest.load(folder)

A *mirror* is a dataset directory without shards: `remote.json` in it says where they
are. They come when they are first read (`stfn_keras.data.cache`), or TensorFlow reads
them itself (`stfn_keras.data.direct`).
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from absl import logging

from stfn_keras import storage
from stfn_keras.config import option
from stfn_keras.data.index import INDEX
from stfn_keras.data.ledger import LEDGER
from stfn_keras.data.locks import LOCK, locked, making
from stfn_keras.data.manifest import MANIFEST, Manifest
from stfn_keras.data.mirrors import REMOTE, Remote
from stfn_keras.errors import UserError
from stfn_keras.files import sha256, write_json

AT_ONCE = 6  # shards that one pipeline reads or fetches at a time
TABLES = ("labels.txt", LEDGER, INDEX)  # small, and not in every dataset


@dataclass(frozen=True)
class CacheConfig:
    """Where the shards of remote data are kept, and how many."""

    data_cache: str = option(
        "",
        "folder for shards of data behind an address; empty: stfn-keras/shards in the "
        "user's cache folder",
    )
    data_cache_gb: float = option(
        50.0, "gigabytes that shards of data behind addresses may take there"
    )

    def __post_init__(self) -> None:
        if not self.data_cache_gb > 0:
            raise UserError(
                f"--data_cache_gb must be more than 0. Received: {self.data_cache_gb}"
            )

    @property
    def folder(self) -> Path:
        """The cache's folder, which datasets share."""
        if self.data_cache:
            # A shell leaves the ~ of --data_cache=~/x as it is.
            return Path(os.path.expanduser(self.data_cache)).absolute()
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(home) / "stfn-keras" / "shards"


DEFAULT_CACHE = CacheConfig()


class Store(Protocol):
    """What reads behind an address: `storage`, or `direct` in this folder."""

    def get(self, location: str, local: Path) -> None:
        """Copy a file to a local path; FileNotFoundError where there is none."""

    def sizes(self, location: str) -> dict[str, int]:
        """Bytes of every file in a folder by name; {} if unknown."""


def mirror(
    location: str | Path,
    config: CacheConfig = DEFAULT_CACHE,
    store: Store = storage,
    direct: bool = False,
) -> Path:
    """The dataset directory of a location: itself, or the mirror of an address.

    Args:
        location: A local folder, or an address such as s3://bucket/ucf101.
        config: Where a mirror lies, and its bound; the last call's bound holds.
        store: What reads behind the address.
        direct: Whether TensorFlow reads the shards itself, so that none is kept.

    Returns:
        A dataset directory. A dataset that is made anew at the same address gets
        another one.

    Raises:
        UserError: There is no dataset, a shard of it is missing or of another size,
            or the bound is too small for its shards.
    """
    if not storage.is_remote(location):
        return Path(location)
    about = Remote(str(location).rstrip("/"), config.data_cache_gb, direct)
    with making(config.folder):
        folder = _mirrored(about, config.folder, store)
    address, manifest = about.location, Manifest.load(folder)
    _check_there(address, manifest, store)
    if not direct:
        _check_bound(config, manifest)
    return folder


def _mirrored(about: Remote, root: Path, store: Store) -> Path:
    """Fetch all but the shards aside, then publish it: nobody waits for the network."""
    with tempfile.TemporaryDirectory(prefix="mirror-", dir=root) as name:
        aside = Path(name)
        try:
            store.get(storage.join(about.location, MANIFEST), aside / MANIFEST)
        except FileNotFoundError:
            raise UserError(
                f"{about.location} must be a dataset made by `python -m data_prep`: it "
                f"has no {MANIFEST}, or there is no such place"
            ) from None
        key = f"{about.location}\n{about.direct}\n{sha256(aside / MANIFEST)}"
        folder = root / hashlib.sha256(key.encode()).hexdigest()[:16]
        fetched = []
        for table in TABLES:
            if not (folder / table).exists():
                with contextlib.suppress(FileNotFoundError):
                    store.get(storage.join(about.location, table), aside / table)
                    fetched.append(table)
        with locked(root / LOCK):
            folder.mkdir(exist_ok=True)
            write_json(folder / REMOTE, asdict(about))
            for table in (*fetched, MANIFEST):
                os.replace(aside / table, folder / table)
    return folder


def location_of(folder: Path) -> str:
    """Where a dataset directory's data are: its own path, or an address."""
    remote = Remote.of(folder)
    return remote.location if remote else str(folder)


@contextlib.contextmanager
def present(folder: Path, file: str) -> Iterator[Path]:
    """A shard's local path, fetched first in a mirror and kept within the `with`.

    Raises:
        UserError: It cannot be fetched, or is not what the manifest says.
    """
    if Remote.of(folder) is None:
        yield folder / file
        return
    from stfn_keras.data.cache import ShardCache  # flock: not on Windows

    with ShardCache.open(folder).shard(file) as path:
        yield path


def _check_there(location: str, manifest: Manifest, store: Store) -> None:
    """Compare the shards' sizes with one listing, where the store gives one."""
    try:
        sizes = store.sizes(location)
    except UserError as error:
        logging.info("%s; its shards are checked when they are read", error)
        return
    for shard in manifest.shards if sizes else ():
        if sizes.get(shard.file) != shard.bytes:
            raise UserError(
                f"{storage.join(location, shard.file)} must have {shard.bytes} bytes. "
                f"Received: {sizes.get(shard.file, 'no such file')}; upload it again"
            )


def _check_bound(config: CacheConfig, manifest: Manifest) -> None:
    """Refuse a bound below what one pipeline has in use at a time."""
    largest = sorted((shard.bytes for shard in manifest.shards), reverse=True)
    needed = sum(largest[:AT_ONCE])
    if config.data_cache_gb * 1e9 < needed:
        raise UserError(
            f"--data_cache_gb must be {needed / 1e9:.2g} or more for these data, whose "
            f"shards are read {AT_ONCE} at a time. Received: {config.data_cache_gb:g}"
        )
