"""Shards that TensorFlow reads behind an address itself, so that none is kept.

Without tensorflow-io it does so behind file://: here that stands for s3://.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import shutil

import pytest

pytest.importorskip("fsspec", reason="needs the extra [remote]")

from stfn_keras.data import direct
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.remote import CacheConfig
from stfn_keras.data.source import naming_damage, open_data, open_source
from stfn_keras.data.stream import records
from stfn_keras.errors import UserError

SIZES = {"rgb": 16, "flow": 12}


@pytest.fixture
def far(dataset, tmp_path):
    """A copy of the dataset that tests may damage."""
    return shutil.copytree(dataset, tmp_path / "far")


@pytest.fixture
def folder(far, tmp_path, monkeypatch):
    """Its mirror."""
    monkeypatch.setattr(direct, "reads", lambda location: True)
    return open_data(f"file://{far}", CacheConfig(str(tmp_path / "cache")))


def source_of(folder):
    return open_source(folder, Manifest.load(folder), 1, "r", "dis", SIZES)


def read(folder, cycle=4):
    return list(records(source_of(folder), cycle=cycle).as_numpy_iterator())


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def test_records_are_the_local_ones_and_no_shard_is_kept(far, folder):
    for cycle in (1, 4):
        assert read(folder, cycle) == read(far, cycle)
    assert not list(folder.glob("*.tfrecord*"))


def test_a_flipped_bit_is_named(far, folder):
    manifest = Manifest.load(folder)
    name = manifest.shards[1].file
    flip_a_bit(far / name)
    said = rf"^file://{far}/{name}: its bytes are not those that were written; upload"
    with pytest.raises(UserError, match=said), naming_damage(folder, manifest):
        read(folder)


def test_a_missing_shard_is_named(far, folder):
    manifest = Manifest.load(folder)
    (far / manifest.shards[1].file).unlink()
    said = rf"^file://{far}/{manifest.shards[1].file}: cannot be read: .*; upload"
    with pytest.raises(UserError, match=said), naming_damage(folder, manifest):
        read(folder)


def test_a_full_check_digests_behind_the_address(far, folder):
    """`--verify=full` before the start: no shard is here to be digested."""
    manifest = Manifest.load(folder)
    manifest.verify(folder, full=True)
    name = manifest.shards[1].file
    flip_a_bit(far / name)
    manifest.verify(folder, full=False)
    manifest.verify(folder, full=True, split=1, roles="ev")
    with pytest.raises(UserError, match=rf"^file://{far}/{name}: its bytes are not"):
        manifest.verify(folder, full=True, split=1, roles="r")
    (far / name).write_bytes(b"short")
    with pytest.raises(UserError, match=rf"/{name}: expected .* Received: 5; upload"):
        manifest.verify(folder, full=True)
