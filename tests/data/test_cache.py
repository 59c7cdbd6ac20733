"""The shard cache: whole or absent, bounded, shared, never deleted under a reader."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="needs the extra [remote]")

from stfn_keras import storage
from stfn_keras.config import FLOW_BOUND
from stfn_keras.data import cache as caching
from stfn_keras.data.cache import ShardCache
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.remote import AT_ONCE, CacheConfig, Remote, location_of, mirror
from stfn_keras.errors import UserError

SIZE, COUNT = 1000, 12


def content(number):
    return bytes([number]) * SIZE


def manifest_of(numbers):
    shards = tuple(
        Shard(f"set-r-{n:05d}.tfrecord", "r", 1, SIZE,
              hashlib.sha256(content(n)).hexdigest())
        for n in numbers
    )  # fmt: skip
    return Manifest(
        schema=1, name="set", protocol="csv", labels=("a",), videos=len(shards),
        absent=0, shards=shards, flow={"dis": {"bound": FLOW_BOUND, "pairs": 5}},
        layout="snippet", snippets=3, rgb_per_snippet=1, size="256", flip=True,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """A dataset of twelve small shards behind an address that processes share."""
    folder = tmp_path / "far" / "set"
    folder.mkdir(parents=True)
    manifest = manifest_of(range(COUNT))
    for number, shard in enumerate(manifest.shards):
        (folder / shard.file).write_bytes(content(number))
    (folder / "labels.txt").write_text("a\n")
    manifest.save(folder)
    return folder


@pytest.fixture
def address(data):
    return f"file://{data}"


def opened(address, tmp_path, shards=COUNT):
    config = CacheConfig(str(tmp_path / "cache"), shards * SIZE / 1e9)
    return ShardCache.open(mirror(address, config))


def name(number):
    return f"set-r-{number:05d}.tfrecord"


def kept(cache):
    return sorted(int(p.name[6:11]) for p in cache.folder.glob("*.tfrecord"))


def read(cache, number):
    with cache.shard(name(number)) as path:
        assert path.read_bytes() == content(number)
        time.sleep(0.002)  # so that no two were last used at the same time


def test_a_mirror_has_all_but_the_shards(data, address, tmp_path):
    folder = mirror(address + "/", CacheConfig(str(tmp_path / "cache")))
    assert Manifest.load(folder).digest == Manifest.load(data).digest
    assert {p.name for p in folder.iterdir()} == {
        "manifest.json", "labels.txt", "remote.json"
    }  # fmt: skip
    assert location_of(folder) == address
    assert Remote.of(folder) == Remote(address, 50.0, False)
    assert Remote.of(data) is None
    assert location_of(data) == str(data)
    Manifest.load(folder).verify(folder, full=False)
    Manifest.load(folder).verify(folder, full=True)


def test_a_dataset_made_anew_gets_another_mirror(data, address, tmp_path):
    first = opened(address, tmp_path)
    read(first, 1)
    manifest_of(range(COUNT - 1)).save(data)
    second = opened(address, tmp_path)
    assert second.folder != first.folder
    assert kept(second) == []


def test_a_shard_is_fetched_once(address, tmp_path, monkeypatch):
    cache = opened(address, tmp_path)
    fetched, get = [], storage.get
    monkeypatch.setattr(storage, "get", lambda *a: (fetched.append(a[0]), get(*a)))
    for _ in range(3):
        read(cache, 4)
    assert fetched == [f"{address}/{name(4)}"]


def test_least_recently_used_shards_make_room(address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    for number in (0, 1, 2, 3, 4, 5, 0, 1, 6, 7):
        read(cache, number)
    assert kept(cache) == [0, 1, 4, 5, 6, 7]


def test_the_bound_is_over_all_datasets(data, address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    for number in range(6):
        read(cache, number)
    manifest_of(range(COUNT - 1)).save(data)
    other = opened(address, tmp_path, AT_ONCE)
    read(other, 0)
    assert kept(cache) == [1, 2, 3, 4, 5]


def test_a_shard_that_is_read_is_not_deleted(address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    with cache.shard(name(0)) as path, cache.shard(name(0)):
        for number in range(1, COUNT):
            read(cache, number)
        assert path.read_bytes() == content(0)
        assert kept(cache) == [0, 7, 8, 9, 10, 11]
    read(cache, 1)
    assert 0 not in kept(cache)


def test_what_is_read_at_once_may_pass_the_bound(address, tmp_path):
    """Readers are never stopped for room: the bound is passed, with a warning."""
    cache = opened(address, tmp_path, AT_ONCE)
    held = [cache.hold(name(number)) for number in range(8)]
    assert kept(cache) == list(range(8))
    for file in held:
        os.close(file)
    read(cache, 9)
    assert kept(cache) == [3, 4, 5, 6, 7, 9]


def test_a_bound_below_one_pipelines_need_is_refused(address, tmp_path):
    with pytest.raises(UserError, match="--data_cache_gb must be 6e-06 or more"):
        opened(address, tmp_path, AT_ONCE - 1)
    with pytest.raises(UserError, match="--data_cache_gb must be more than 0"):
        CacheConfig(data_cache_gb=0)


def test_a_damaged_transfer_is_repeated_once(address, tmp_path, monkeypatch):
    cache = opened(address, tmp_path)
    attempts, get = [], storage.get

    def damaged(location, local, times):
        get(location, local)
        attempts.append(location)
        if len(attempts) <= times:
            local.write_bytes(local.read_bytes()[:-1] + b"!")

    monkeypatch.setattr(storage, "get", lambda *a: damaged(*a, times=1))
    read(cache, 3)
    assert len(attempts) == 2
    attempts.clear()
    monkeypatch.setattr(storage, "get", lambda *a: damaged(*a, times=9))
    with pytest.raises(UserError, match=rf"{name(5)} is not what its manifest says"):
        cache.hold(name(5))
    assert len(attempts) == 2
    assert kept(cache) == [3]
    assert not list(cache.folder.glob("*partial*"))


def test_a_shard_of_another_size_is_fetched_again(address, tmp_path):
    cache = opened(address, tmp_path)
    read(cache, 2)
    (cache.folder / name(2)).write_bytes(b"short")
    read(cache, 2)


def test_a_place_that_cannot_be_written_is_named(address, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="--data_cache must be a folder to write to"):
        opened(address, tmp_path)


def test_many_threads_share_a_small_cache(address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    faults = []

    def work(seed):
        try:
            for step in range(40):
                read(cache, (seed * 5 + step * 7) % COUNT)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(kept(cache)) <= AT_ONCE


PROCESS = """
import sys
from pathlib import Path
from stfn_keras.data.cache import ShardCache
cache = ShardCache.open(Path(sys.argv[1]))
numbers = [int(n) for n in sys.argv[2].split(",")]
for number in numbers * 6:
    with cache.shard(f"set-r-{number:05d}.tfrecord") as path:
        if path.read_bytes() != bytes([number]) * 1000:
            sys.exit(f"shard {number} is damaged")
"""


def test_several_processes_share_a_small_cache(address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    orders = (range(COUNT), reversed(range(COUNT)), [3, 9, 1, 11, 5, 7])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(cache.folder),
             ",".join(map(str, order))],
            stderr=subprocess.PIPE,
        )
        for order in orders
    ]  # fmt: skip
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    assert len(kept(cache)) <= AT_ONCE


SLOW = """
import sys, time
from pathlib import Path
from stfn_keras import storage
from stfn_keras.data.cache import ShardCache
def slowly(location, local):
    local.write_bytes(b"half")
    print("fetching", flush=True)
    time.sleep(600)
storage.get = slowly
ShardCache.open(Path(sys.argv[1])).hold("set-r-00001.tfrecord")
"""


def test_a_killed_fetch_leaves_nothing_and_stops_nobody(address, tmp_path):
    cache = opened(address, tmp_path, AT_ONCE)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(cache.folder)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"fetching\n"
        for number in range(2, COUNT):  # the fetch is neither waited for nor deleted
            read(cache, number)
        (partial,) = cache.folder.glob("*partial")
        waiting = threading.Thread(target=read, args=(cache, 1))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()  # it fetches no second copy
        process.send_signal(signal.SIGKILL)
        waiting.join(30)
        assert not waiting.is_alive()
    assert 1 in kept(cache)
    partial.write_bytes(b"left by a killed process")
    read(cache, 0)
    assert not partial.exists()


def test_the_bound_holds_after_a_killed_fetch(address, tmp_path):
    """The room of the half-fetched file went to other shards meanwhile."""
    cache = opened(address, tmp_path, AT_ONCE)
    for number in range(AT_ONCE):
        read(cache, number)
    (cache.folder / f"{name(7)}.{SIZE}.partial").write_bytes(b"left by a killed one")
    read(cache, 7)
    assert kept(cache) == [1, 2, 3, 4, 5, 7]


def test_a_full_disk_is_said_of_the_cache(address, tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    cache = opened(address, tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "get_file", full)
    with pytest.raises(
        UserError,
        match=rf"^cannot keep {address}/{name(0)} in {cache.folder}: No space left on "
        "device; make room, or choose another --data_cache$",
    ):
        cache.hold(name(0))
    assert not list(cache.folder.glob("*partial*"))
    with pytest.raises(UserError, match="--data_cache must be .*: No space left on"):
        opened(address, tmp_path)


def test_the_users_cache_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert CacheConfig().folder == Path("/caches/stfn-keras/shards")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert CacheConfig().folder == Path.home() / ".cache/stfn-keras/shards"
    assert CacheConfig("~/x").folder == Path.home() / "x"  # a shell leaves that ~


def test_an_open_file_without_its_name_is_taken_again(address, tmp_path, monkeypatch):
    """Deleted between opening and locking it: the reader fetches it again."""
    cache = opened(address, tmp_path)
    read(cache, 0)
    is_at, seen = caching._is_at, []

    def deleted(file, path):
        if not seen:
            seen.append(path)
            path.unlink()
        return is_at(file, path)

    monkeypatch.setattr(caching, "_is_at", deleted)
    read(cache, 0)
    assert seen
