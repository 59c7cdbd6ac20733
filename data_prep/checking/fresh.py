"""Datasets as they are now: of one behind an address nothing cached counts.

    with afresh("s3://bucket/ucf101", CacheConfig()) as folder:
        manifest = Manifest.load(folder)

The cache compares a shard with its digest when it fetches it. What became of the shard
behind its address since then, a cached copy cannot tell.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stfn_keras import storage
from stfn_keras.data.remote import CacheConfig, mirror


@contextlib.contextmanager
def afresh(location: str | Path, config: CacheConfig) -> Iterator[Path]:
    """The dataset directory of a location, of which nothing was fetched before.

    Args:
        location: A local folder, or an address such as s3://bucket/ucf101.
        config: Of the cache; a folder in it holds what is fetched, until the end of
            the `with`. Shards that were cached before are neither read nor touched.

    Raises:
        UserError: There is no dataset at the address, or it cannot be read.
    """
    if not storage.is_remote(location):
        yield Path(location)
        return
    from stfn_keras.data.locks import making  # flock: not on Windows

    with making(config.folder):
        # In the cache's folder, since that is on a disk chosen for shards.
        temporary = tempfile.TemporaryDirectory(prefix="afresh-", dir=config.folder)
    with temporary as name:
        own = dataclasses.replace(config, data_cache=name)
        yield mirror(location, own, _Unlisted())


class _Unlisted:
    """A store without a listing: each shard's fault is to be found with the shard."""

    def get(self, location: str, local: Path) -> None:
        storage.get(location, local)

    def sizes(self, location: str) -> dict[str, int]:
        return {}
