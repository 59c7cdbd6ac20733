"""`verify` of an address says what lies there now, whatever was fetched before."""

from pathlib import Path

import pytest
from small_dataset import write_dataset

from data_prep.checking.verify import dataset_faults, report, verify_dataset
from stfn_keras import storage
from stfn_keras.data.cache import ShardCache
from stfn_keras.data.manifest import Manifest, shard_fault
from stfn_keras.data.remote import CacheConfig, mirror
from stfn_keras.errors import UserError


@pytest.fixture
def data(tmp_path) -> Path:
    return write_dataset(tmp_path / "small")


@pytest.fixture
def config(tmp_path) -> CacheConfig:
    return CacheConfig(str(tmp_path / "cache"))


@pytest.fixture
def cached(data, upload, config, tmp_path):
    """A function that uploads the dataset and fetches every shard into the cache."""

    def run(root: str) -> tuple[str, Path]:
        address = upload(data, f"{root}/{tmp_path.name}")
        folder = mirror(address, config)
        for shard in Manifest.load(folder).shards:
            with ShardCache.open(folder).shard(shard.file):
                pass
        return address, folder

    return run


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, location: str, at: int = 100) -> None:
    """Put a file of the same size, but for one bit, behind the address."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path = path.with_name("flipped")
    path.write_bytes(content)
    storage.put(path, location)


def test_a_shard_damaged_after_it_was_cached(cached, bucket, data, config, capsys):
    """Guards against a digest of the cached copy, which is whole."""
    address, folder = cached(bucket)
    before = files(config.folder)
    assert report(address, config)
    assert capsys.readouterr().out.startswith(f"{address}: sound: 8 videos in 4 shards")
    name = Manifest.load(data).shards[1].file
    flip(data / name, f"{address}/{name}")
    assert not report(address, config)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{address}/{name} is not what its manifest says")
    assert files(config.folder) == before  # the cache is neither used nor changed
    assert verify_dataset(folder) == []  # what hid it


def test_tables_altered_after_they_were_cached(cached, data, config, capsys):
    address, _ = cached("memory://tables")
    for name in ("labels.txt", "videos.csv"):
        storage.delete(f"{address}/{name}")
    assert not report(address, config)
    assert capsys.readouterr().out.splitlines() == [
        f"{address}/videos.csv: it is missing: prepare the dataset again",
        f"{address}/labels.txt: it is missing",
    ]


def test_every_shard_at_fault_is_named(cached, data, config, capsys):
    """A missing one and one of another size end nothing."""
    address, _ = cached("memory://every")
    first, second, *_ = sorted(shard.file for shard in Manifest.load(data).shards)
    storage.delete(f"{address}/{first}")
    storage.write_text(f"{address}/{second}", "short")
    assert not report(address, config)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" is ")[0] for line in lines] == [
        f"{address}/{first}", f"{address}/{second}",
    ]  # fmt: skip


def test_one_shard_at_a_time_lies_on_the_disk(cached, config, monkeypatch):
    _, folder = cached("memory://one")
    for path in folder.glob("*.tfrecord"):
        path.unlink()
    seen = []

    def counted(shard, folder):
        seen.append([path.name for path in folder.glob("*.tfrecord*")])
        return shard_fault(shard, folder)

    monkeypatch.setattr("data_prep.checking.verify.shard_fault", counted)
    assert list(dataset_faults(folder, keep=False)) == []
    shards = sorted(shard.file for shard in Manifest.load(folder).shards)
    assert seen == [[name] for name in shards]
    assert not list(folder.glob("*.tfrecord*"))


def test_leftovers_are_those_of_the_address(cached, config, capsys):
    """Another process fills the cache meanwhile: its files are nobody's leftovers."""
    address, folder = cached("memory://left")
    (folder / "small-rr-00000-of-00004.tfrecord.99.partial").touch()
    assert verify_dataset(folder) == []
    storage.write_text(f"{address}/other.tfrecord", "")
    assert not report(address, config)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"{address}/other.tfrecord: the manifest does not name it"


def test_nothing_stays_when_it_is_stopped(cached, config, monkeypatch):
    address, _ = cached("memory://stopped")
    before = files(config.folder)

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("data_prep.checking.verify.shard_fault", stopped)
    with pytest.raises(KeyboardInterrupt):
        report(address, config)
    assert files(config.folder) == before


def test_what_is_no_dataset_behind_an_address(config):
    with pytest.raises(UserError, match="memory://nothing must be a dataset made by"):
        report("memory://nothing", config)
