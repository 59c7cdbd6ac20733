"""No damage of a shard passes: neither verification, nor the reader, nor training.

Positions are drawn with a fixed seed. Digests, checksums of records and the reader of
training are tried apart, so that none of them hides behind another.
"""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from small_dataset import write_dataset

from data_prep.checking.verify import content_faults, shard_faults, verify_dataset
from stfn_keras.data.manifest import Manifest, Shard, shard_fault
from stfn_keras.data.records import RecordError, read_records
from stfn_keras.errors import UserError

FLIPS, CUTS = 200, 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("damage") / "small", videos=3)


@pytest.fixture(scope="module")
def shard(folder) -> Shard:
    return Manifest.load(folder).shards[0]


@contextlib.contextmanager
def damaged(path: Path, content: bytes):
    """Give a file another content for a while."""
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        yield
    finally:
        path.write_bytes(whole)


def flips(content: bytes) -> list[bytes]:
    """The content with one bit flipped, at `FLIPS` drawn places and in each header."""
    draws = np.random.default_rng(0)
    places = draws.choice(8 * len(content), FLIPS, replace=False).tolist()
    for start in boundaries(content)[:-1]:
        places += [8 * start, 8 * start + 63, 8 * start + 64]  # length, its checksum
    found = []
    for place in places:
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        found.append(bytes(flipped))
    return found


def boundaries(content: bytes) -> list[int]:
    """Where records start and the last one ends."""
    places = [0]
    while places[-1] < len(content):
        start = places[-1]
        length = int.from_bytes(content[start : start + 8], "little")
        places.append(start + 8 + 4 + length + 4)
    assert places[-1] == len(content)
    return places


def cuts(content: bytes) -> list[bytes]:
    """The content cut at `CUTS` drawn places and at and beside each boundary."""
    draws = np.random.default_rng(1)
    places = set(draws.choice(len(content), CUTS, replace=False).tolist())
    for place in boundaries(content):
        places |= {place - 1, place, place + 1, place + 12} & set(range(len(content)))
    return [content[:place] for place in sorted(places)]


def additions(content: bytes) -> list[bytes]:
    """The content with a byte, with a copy of its first record, and with both."""
    record = content[: boundaries(content)[1]]
    return [content + more for more in (b"\0", b"\n", record, record + b"\0")]


def every(content: bytes) -> list[bytes]:
    return flips(content) + cuts(content) + additions(content)


def found_by(check, path: Path, contents: list[bytes]) -> list[bool]:
    """For each content whether the check found something."""
    results = []
    for content in contents:
        with damaged(path, content):
            results.append(bool(check()))
    return results


def test_the_places_are_what_they_should_be(folder, shard):
    """Guards against tests of nothing."""
    content = (folder / shard.file).read_bytes()
    assert 3_000 < len(content) < 100_000
    assert len(set(flips(content))) >= FLIPS
    assert content not in every(content)
    assert len(cuts(content)) > CUTS
    ends = {len(cut) for cut in cuts(content)}
    assert set(boundaries(content)[:-1]) <= ends
    assert not list(shard_faults(shard, folder, Manifest.load(folder)))


def test_verify_finds_every_damage_and_names_the_file(folder, shard):
    manifest, path = Manifest.load(folder), folder / shard.file

    def named():
        faults = list(shard_faults(shard, folder, manifest))
        (line,) = (line for fault in faults for line in fault.splitlines())
        return line.startswith(f"{shard.file}: ")

    assert all(found_by(named, path, every(path.read_bytes())))


def test_records_find_every_damage_without_the_digest(folder, shard):
    """Guards against leaning on the digest, which a rewritten manifest would mend."""
    manifest, path = Manifest.load(folder), folder / shard.file

    def fault():
        return list(content_faults(shard, folder, manifest))

    assert all(found_by(fault, path, every(path.read_bytes())))


def test_the_reader_finds_every_flip_by_itself(folder, shard):
    path = folder / shard.file

    def read():
        try:
            list(read_records(path))
        except RecordError:
            return True
        return False

    content = path.read_bytes()
    assert all(found_by(read, path, flips(content)))
    # A cut at a boundary and a whole record more are none to it: hence the counts.
    silent = [content[:place] for place in boundaries(content)[:-1]]
    assert not any(found_by(read, path, silent))
    others = [cut for cut in cuts(content) if cut not in silent]
    assert all(found_by(read, path, others))


def test_the_cheap_check_finds_what_changes_the_size(folder, shard):
    path = folder / shard.file

    def cheap():
        return shard_fault(shard, folder, full=False)

    content = path.read_bytes()
    assert all(found_by(cheap, path, cuts(content) + additions(content)))
    assert not any(found_by(cheap, path, flips(content)))


def test_the_full_check_before_training_names_the_file(folder, shard):
    manifest, path = Manifest.load(folder), folder / shard.file

    def refused():
        with pytest.raises(UserError, match=shard.file):
            manifest.verify(folder, full=True, split=1, roles="rv")
        return True

    assert all(found_by(refused, path, every(path.read_bytes())))


def test_training_reads_no_flip_and_names_the_file(folder, shard):
    """What the first epoch does: TensorFlow's reader, and its error made plain."""
    import tensorflow as tf

    from stfn_keras.data.source import naming_damage

    manifest, path = Manifest.load(folder), folder / shard.file
    records = tf.data.TFRecordDataset(str(path))

    def read():
        try:
            with naming_damage(folder, manifest):
                for _ in records:
                    pass
        except UserError as error:
            return str(path) in str(error)
        return False

    assert all(found_by(read, path, flips(path.read_bytes())))


def test_shards_that_are_not_read_are_not_checked(folder):
    manifest = Manifest.load(folder)
    for entry in manifest.shards:
        path = folder / entry.file
        with damaged(path, path.read_bytes() + b"\0"):
            for split in (1, 2):
                role = entry.roles[split - 1]
                others = "revu".replace(role, "")
                manifest.verify(folder, full=False, split=split, roles=others)
                with pytest.raises(UserError, match=entry.file):
                    manifest.verify(folder, full=False, split=split, roles=role)


def test_a_damaged_manifest_is_one_line(folder):
    """A manifest has no digest of its own; whatever it says, nothing breaks down."""
    path = folder / "manifest.json"
    told = 0

    def verify():
        try:
            return verify_dataset(folder)
        except UserError as error:
            return [str(error)]

    content = path.read_bytes()
    draws = np.random.default_rng(2)
    places = draws.choice(8 * len(content), 150, replace=False).tolist()
    for place in places:
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        with damaged(path, bytes(flipped)):
            said = verify()
            assert all(len(line.splitlines()) == 1 for line in said)
            told += bool(said)
    assert told > len(places) // 2
