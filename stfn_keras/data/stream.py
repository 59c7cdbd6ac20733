"""The records of a source's shards, from a folder or from behind an address.

    data = records(source, order, cycle=4)  # encoded tf.train.Examples

The same shards in the same order give the same records, wherever they lie.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from stfn_keras import storage
from stfn_keras.data.remote import AT_ONCE
from stfn_keras.data.source import Source

if TYPE_CHECKING:
    from stfn_keras.data.cache import ShardCache

SHARDS_AT_ONCE = 4  # read in turns while training
AHEAD = AT_ONCE - SHARDS_AT_ONCE  # fetched before they are needed


def records(
    source: Source, order: Sequence[int] | np.ndarray | None = None, cycle: int = 1
) -> tf.data.Dataset:
    """Every record once, or those of the source's chosen videos.

    Args:
        source: The shards.
        order: Their indices; None for the source's own order.
        cycle: How many are read in turns, a record each.
    """
    order = range(len(source.files)) if order is None else order
    data = _all_records(source, [source.files[index] for index in order], cycle)
    return data if source.only is None else _chosen(data, source.only)


def _all_records(source: Source, files: list[Path], cycle: int) -> tf.data.Dataset:
    remote = source.remote
    if remote and not remote.direct:
        from stfn_keras.data.cache import ShardCache  # flock: not on Windows

        shards = ShardCache.open(files[0].parent)
        return _fetched(shards, [file.name for file in files], cycle)
    if remote:
        names = [storage.join(remote.location, file.name) for file in files]
    else:
        names = [str(file) for file in files]
    if cycle == 1:
        return tf.data.TFRecordDataset(names)
    return tf.data.Dataset.from_tensor_slices(names).interleave(
        tf.data.TFRecordDataset, cycle_length=cycle, num_parallel_calls=cycle,
        deterministic=True,
    )  # fmt: skip


def _chosen(data: tf.data.Dataset, ids: frozenset[str]) -> tf.data.Dataset:
    """The records of the videos with these ids."""
    keys = [os.fsencode(video) for video in sorted(ids)]
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(keys, tf.string), tf.ones([len(keys)], tf.int32)
        ),
        default_value=0,
    )

    def is_chosen(record: tf.Tensor) -> tf.Tensor:
        feature = {"video/id": tf.io.FixedLenFeature([], tf.string)}
        return table.lookup(tf.io.parse_single_example(record, feature)["video/id"]) > 0

    return data.filter(is_chosen)


def _fetched(shards: "ShardCache", files: list[str], cycle: int) -> tf.data.Dataset:
    """The records of shards that are fetched a few ahead and held while they are read.

    The turns are taken one after another: it is the same order, and what is in use at
    a time stays within `AT_ONCE` shards.
    """
    ahead = _Ahead(shards, files)

    def read(index: tf.Tensor) -> tf.data.Dataset:
        path = tf.ensure_shape(tf.numpy_function(ahead.get, [index], tf.string), [])
        end = tf.data.Dataset.from_tensors(index).map(
            lambda i: tf.numpy_function(ahead.release, [i], tf.bool)
        )
        nothing = end.filter(lambda _: False).map(lambda _: "")
        return tf.data.TFRecordDataset(path).concatenate(nothing)

    return tf.data.Dataset.range(len(files)).interleave(read, cycle_length=cycle)


class _Ahead:
    """Holds the shards that a dataset reads, and fetches the next ones meanwhile.

    What an abandoned iteration holds is let go with the dataset.
    """

    def __init__(self, shards: "ShardCache", files: list[str]) -> None:
        self._shards = shards
        self._files = files
        self._lock = threading.Lock()
        self._coming: dict[int, Future[int]] = {}
        self._held: dict[int, list[int]] = {}
        weakref.finalize(self, _let_go, self._coming, self._held)

    def get(self, index: np.int64) -> bytes:
        """Wait for a shard; its path."""
        number = int(index)
        with self._lock:
            for near in range(number, min(number + 1 + AHEAD, len(self._files))):
                if near not in self._coming and near not in self._held:
                    hold = self._shards.hold
                    self._coming[near] = _pool().submit(hold, self._files[near])
            coming = self._coming.pop(number, None)
        file = self._files[number]
        held = coming.result() if coming else self._shards.hold(file)
        with self._lock:
            self._held.setdefault(number, []).append(held)
        return os.fsencode(self._shards.folder / file)

    def release(self, index: np.int64) -> np.bool_:
        """A shard has been read."""
        with self._lock:
            held = self._held[int(index)]
            os.close(held.pop())
            if not held:
                del self._held[int(index)]
        return np.bool_(True)


def _let_go(coming: dict[int, "Future[int]"], held: dict[int, list[int]]) -> None:
    for future in coming.values():
        future.add_done_callback(_close)
    for files in held.values():
        for file in files:
            os.close(file)


def _close(future: "Future[int]") -> None:
    if not future.cancelled() and not future.exception():
        os.close(future.result())


@cache
def _pool() -> ThreadPoolExecutor:
    """One for the process: fsspec keeps a connection for each thread it has seen."""
    return ThreadPoolExecutor(1 + AHEAD, thread_name_prefix="shards")
