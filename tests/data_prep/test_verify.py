"""Whatever happens to a dataset's files, `verify` has one line for it."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from data_prep.verify import verify_dataset
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.records import RecordWriter, decode_example, encode_example
from stfn_keras.data.records import read_records as records_of
from stfn_keras.errors import UserError
from stfn_keras.files import sha256


@pytest.fixture
def copy(tmp_path, dataset) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def first_shard(folder: Path) -> Path:
    return folder / Manifest.load(folder).shards[0].file


def rewrite(folder: Path, change) -> None:
    """Change the first shard's first record, and let the manifest agree."""
    path = first_shard(folder)
    examples = [decode_example(record) for record in records_of(path)]
    change(examples)
    with open(path, "wb") as file:
        for example in examples:
            RecordWriter(file).write(encode_example(example))
    manifest = Manifest.load(folder)
    shard = dataclasses.replace(
        manifest.shards[0], bytes=path.stat().st_size, sha256=sha256(path)
    )
    shards = (shard, *manifest.shards[1:])
    dataclasses.replace(manifest, shards=shards).save(folder)


def test_a_sound_dataset(dataset):
    assert verify_dataset(dataset) == []


@pytest.mark.parametrize("at", [0, 9, 100, -1])
def test_a_flipped_bit(copy, at):
    path = first_shard(copy)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    (fault,) = verify_dataset(copy)
    assert fault.startswith(path.name)


def test_a_cut_at_a_record_boundary(copy):
    """Guards against the damage that no TFRecord reader reports."""
    path = first_shard(copy)
    with open(copy / "rest", "wb") as file:
        for record in list(records_of(path))[:-1]:
            RecordWriter(file).write(record)
    (copy / "rest").replace(path)
    (fault,) = verify_dataset(copy)
    assert "bytes" in fault


def test_missing_and_extra_files(copy):
    path = first_shard(copy)
    path.rename(copy / "other.tfrecord")
    (copy / "ledger.csv").unlink()
    faults = verify_dataset(copy)
    assert [fault.split(":")[0] for fault in faults] == [
        path.name,
        "other.tfrecord",
        "ledger.csv",
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda e: e[0].update({"video/label": [7]}), "video/label_text"),
        (lambda e: e[0].update({"video/label_text": [b"Other"]}), "video/label_text"),
        (lambda e: e[0].update({"video/roles": [b"v"]}), "video/roles"),
        (lambda e: e[0]["snippet/rgb"].pop(), "snippet/rgb must have 3"),
        (lambda e: e[0].pop("flow/dis"), "flow/dis must have 3"),
        (lambda e: e.pop(), "records. Received"),
    ],
)
def test_contents_that_the_manifest_contradicts(copy, change, word):
    rewrite(copy, change)
    (fault,) = verify_dataset(copy)
    assert word in fault


def test_a_manifest_that_cannot_count(copy):
    path = copy / "manifest.json"
    block = json.loads(path.read_text())
    path.write_text(json.dumps({**block, "videos": block["videos"] + 1}))
    (fault,) = verify_dataset(copy)
    assert "expected 10 videos. Its shards have 9" in fault


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match="data_prep"):
        verify_dataset(tmp_path)
