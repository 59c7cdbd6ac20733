"""A damaged shard is never trained on: the run ends, and its error names the file."""

import shutil
from pathlib import Path

import pytest
from conftest import small_model, small_training

from stfn_keras.data.manifest import Manifest, VerifyConfig
from stfn_keras.data.records import RecordWriter, read_records
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import evaluate
from stfn_keras.exporting.export import export
from stfn_keras.training.train import train


@pytest.fixture
def data(dataset, tmp_path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "data"))


def shard_of(data: Path, role: str) -> Path:
    return Manifest.load(data).shard_files(data, 1, role)[0]


def flip_one_bit(path: Path) -> None:
    """In an image in the middle of the file; the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def append_a_record(path: Path) -> None:
    record = next(read_records(path))
    with open(path, "ab") as file:
        RecordWriter(file).write(record)


def drop_the_last_record(path: Path) -> None:
    """The damage that no reader reports."""
    records = list(read_records(path))
    with open(path, "wb") as file:
        for record in records[:-1]:
            RecordWriter(file).write(record)


def run(data: Path, out: Path, **options):
    model = small_model(network="spatial")
    return train(data, out, model, small_training(stages=("rgb",)), **options)


def test_the_first_epoch_names_the_file(data, tmp_path):
    path = shard_of(data, "r")
    flip_one_bit(path)
    with pytest.raises(UserError, match=path.name):
        run(data, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").rglob("*.keras"))


@pytest.mark.parametrize("role", ["r", "v"])
def test_a_full_check_refuses_before_training(data, tmp_path, role):
    path = shard_of(data, role)
    flip_one_bit(path)
    with pytest.raises(UserError, match=f"{path.name}: its bytes are not those"):
        run(data, tmp_path / "run", verify=VerifyConfig("full"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", [append_a_record, drop_the_last_record])
def test_the_cheap_check_refuses_before_training(data, tmp_path, damage):
    path = shard_of(data, "r")
    damage(path)
    with pytest.raises(UserError, match=f"{path.name}: expected .* bytes"):
        run(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_and_export_check_the_test_shards(trained, data, tmp_path):
    path = shard_of(data, "e")
    flip_one_bit(path)
    for full in (False, True):
        verify = VerifyConfig("full" if full else "sizes")
        with pytest.raises(UserError, match=path.name):
            evaluate(trained, data=data, report=tmp_path / "report", verify=verify)
        assert not (tmp_path / "report").exists()
    with pytest.raises(UserError, match=path.name):
        export(trained, tmp_path / "model", data, verify=VerifyConfig("full"))
    assert not (tmp_path / "model").exists()


def test_other_shards_do_not_matter(trained, data, tmp_path):
    """Guards against reading a whole dataset to use a part of it."""
    append_a_record(shard_of(data, "r"))
    shard_of(data, "v").unlink()
    verify = VerifyConfig("full")
    found = evaluate(trained, data=data, report=tmp_path / "report", verify=verify)
    assert found["videos"] == 5


def test_an_unknown_way_to_verify():
    with pytest.raises(UserError, match="--verify must be one of sizes, full"):
        VerifyConfig("some")
