"""Mirrors of datasets behind addresses: made aside, and published at once."""

import threading

import pytest
from small_dataset import write_dataset

pytest.importorskip("fsspec", reason="needs the extra [remote]")

from stfn_keras import storage
from stfn_keras.data.locks import LOCK, locked
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.remote import CacheConfig, mirror
from stfn_keras.errors import UserError

TABLES = ["manifest.json", "labels.txt", "ledger.csv", "videos.csv"]


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "far")


@pytest.fixture
def config(tmp_path):
    return CacheConfig(str(tmp_path / "cache"))


class Watched:
    """A store that answers only while it can have the cache's lock."""

    def __init__(self, root):
        self.root, self.asked = root, []

    def get(self, location, local):
        with locked(self.root / LOCK):
            self.asked.append(location.rpartition("/")[2])
        storage.get(location, local)

    def sizes(self, location):
        with locked(self.root / LOCK):
            return storage.sizes(location)


def test_the_network_is_asked_without_the_lock(data, config):
    """Others fetch and hold shards meanwhile."""
    store, made = Watched(config.folder), []
    making = threading.Thread(
        target=lambda: made.append(mirror(f"file://{data}", config, store)), daemon=True
    )
    making.start()
    making.join(30)
    assert not making.is_alive()
    assert store.asked == TABLES
    assert mirror(f"file://{data}", config, store) == made[0]
    assert store.asked == [*TABLES, "manifest.json"]
    for name in TABLES:
        assert (made[0] / name).read_bytes() == (data / name).read_bytes()


def test_nothing_is_left_beside_a_mirror(data, config):
    for name in ("labels.txt", "ledger.csv"):
        (data / name).unlink()
    folder = mirror(f"file://{data}", config)
    assert {p.name for p in folder.iterdir()} == {
        "manifest.json", "videos.csv", "remote.json"
    }  # fmt: skip
    with pytest.raises(UserError, match="must be a dataset made by"):
        mirror(f"file://{data}/none", config)
    assert {p.name for p in config.folder.iterdir()} == {LOCK, folder.name}


def test_several_at_once_make_one_mirror(data, config):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(mirror(f"file://{data}", config)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1
    assert Manifest.load(made[0]).digest == Manifest.load(data).digest
    assert (made[0] / "labels.txt").read_bytes() == (data / "labels.txt").read_bytes()
