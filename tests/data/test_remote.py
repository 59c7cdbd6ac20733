"""Training and evaluation from an address: the same as from a local folder."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import gc
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import small_model, small_training
from small_dataset import write_dataset

from stfn_keras import storage
from stfn_keras.config import PixelStageConfig
from stfn_keras.data import direct, pipeline
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import RecordWriter, read_records
from stfn_keras.data.remote import AT_ONCE, CacheConfig
from stfn_keras.data.source import naming_damage, open_data, open_source
from stfn_keras.data.stream import SHARDS_AT_ONCE, records
from stfn_keras.errors import UserError
from stfn_keras.files import sha256

SIZES = {"rgb": 16, "flow": 12}


@pytest.fixture
def many(dataset, tmp_path):
    """The dataset with a shard for every record."""
    return divided(dataset, tmp_path / "many", [1])


def divided(dataset, folder, lengths):
    """The dataset in shards of as many records, in turn; the last of a shard fewer."""
    folder.mkdir()
    manifest, shards = Manifest.load(dataset), []
    lengths = itertools.cycle(lengths)
    for old in manifest.shards:
        left = list(read_records(dataset / old.file))
        while left:
            length = next(lengths)
            part, left = left[:length], left[length:]
            name = f"small-{old.roles}-{len(shards):05d}-of-00021.tfrecord"
            with (folder / name).open("wb") as file:
                writer = RecordWriter(file)
                for record in part:
                    writer.write(record)
            size, digest = (folder / name).stat().st_size, sha256(folder / name)
            shards.append(Shard(name, old.roles, len(part), size, digest))
    dataclasses.replace(manifest, shards=tuple(shards)).save(folder)
    return folder


@pytest.fixture
def memory(many, upload, tmp_path, monkeypatch):
    """The same behind an address, and a cache that holds it all."""
    monkeypatch.setattr(direct, "reads", lambda location: False)
    address = upload(many, f"memory://{tmp_path.name}/many")
    return address, CacheConfig(str(tmp_path / "cache"))


def source_of(folder, role="r"):
    return open_source(folder, Manifest.load(folder), 1, role, "dis", SIZES)


def batches(source, epoch=0):
    return pipeline.training_batches(
        source, segments=3, batch=4, seed=1, epoch=epoch,
        augment=PixelStageConfig(scales=(1.0, 0.75)),
        transform=lambda inputs, label: (inputs["rgb"], inputs["flow"], label),
    )  # fmt: skip


def views(source):
    data = pipeline.view_batches(source, segments=3, samplings=1, crops=2, batch=3)
    return data.map(lambda inputs, about: (inputs["rgb"], inputs["flow"], about["id"]))


def assert_same(one, other):
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def assert_same_history(one, other):
    histories = [pd.read_csv(run / "history.csv") for run in (one, other)]
    pd.testing.assert_frame_equal(
        *(h.drop(columns="seconds") for h in histories), check_exact=True
    )


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def shards_in(folder):
    return {path.name for path in folder.glob("*.tfrecord*")}


def test_batches_are_the_local_ones(many, memory):
    folder = open_data(*memory)
    assert shards_in(folder) == set()
    for epoch in range(2):
        assert_same(batches(source_of(many), epoch), batches(source_of(folder), epoch))
    assert len(shards_in(folder)) == 12
    assert_same(views(source_of(many, "e")), views(source_of(folder, "e")))
    encoded = [
        pipeline.encoded_batches(source_of(f, "e"), segments=3, batch=2)
        for f in (many, folder)
    ]
    for one, other in zip(*encoded, strict=True):
        np.testing.assert_array_equal(one["flow"].numpy(), other["flow"].numpy())


@pytest.mark.parametrize("lengths", [(1, 3, 2), (4, 1, 1, 2), (1, 1, 1, 5)])
def test_uneven_shards_are_read_in_the_local_order(
    dataset, upload, tmp_path, monkeypatch, lengths
):
    """More shards than are read in turns, which end at different times."""
    monkeypatch.setattr(direct, "reads", lambda location: False)
    folder = divided(dataset, tmp_path / "uneven", lengths)
    address = upload(folder, f"memory://{tmp_path.name}/uneven")
    mirrored = open_data(address, CacheConfig(str(tmp_path / "cache")))
    local, remote = (source_of(f) for f in (folder, mirrored))
    files = len(local.files)
    assert files > SHARDS_AT_ONCE
    assert len({s.videos for s in local.manifest.shards}) > 1
    for order in (None, *(np.random.default_rng(n).permutation(files) for n in (1, 2))):
        for cycle in (1, 2, SHARDS_AT_ONCE, files + 1):
            taken = [
                list(records(s, order, cycle).as_numpy_iterator())
                for s in (local, remote)
            ]
            assert taken[0] == taken[1]
            assert len(set(taken[0])) == 12


def test_a_cache_smaller_than_the_data_fetches_again(many, memory, monkeypatch):
    address, config = memory
    largest = max(shard.bytes for shard in Manifest.load(many).shards)
    bound = dataclasses.replace(config, data_cache_gb=AT_ONCE * largest / 1e9)
    folder = open_data(address, bound)
    fetched, get = [], storage.get
    monkeypatch.setattr(storage, "get", lambda *a: (fetched.append(a[0]), get(*a)))
    for _ in range(2):
        for (taken, *_), expected in zip(
            batches(source_of(folder)), batches(source_of(many)), strict=True
        ):
            np.testing.assert_array_equal(taken.numpy(), expected[0].numpy())
            sizes = [p.stat().st_size for p in folder.glob("*.tfrecord*")]
            assert sum(sizes) <= AT_ONCE * largest
    assert len(fetched) > 12  # of twelve shards
    assert len(shards_in(folder)) >= 4


def test_an_abandoned_iteration_lets_its_shards_go(memory):
    from stfn_keras.data.cache import _delete

    folder = open_data(*memory)
    data = batches(source_of(folder))
    next(iter(data))
    del data
    gc.collect()
    paths = list(folder.glob("*.tfrecord"))
    assert len(paths) >= SHARDS_AT_ONCE
    for path in paths:
        assert _delete(path)


def test_a_validation_set_is_read_every_epoch(many, memory):
    local, remote = (views(source_of(f, "v")) for f in (many, open_data(*memory)))
    for _ in range(3):
        assert_same(local, remote)


def test_a_shard_that_cannot_be_fetched_is_named(memory):
    address, _ = memory
    folder = open_data(*memory)
    source = source_of(folder)
    name = source.files[3].name
    storage.delete(storage.join(address, name))
    with (
        pytest.raises(UserError, match=rf"many/{name} is missing: upload it again$"),
        naming_damage(folder, source.manifest),
    ):
        list(batches(source))


def test_a_shard_missing_at_the_start_is_named(memory):
    address, config = memory
    name = Manifest.load(open_data(*memory)).shards[2].file
    storage.write_text(storage.join(address, name), "short")
    with pytest.raises(UserError, match=rf"{name} must have .* Received: 5; upload"):
        open_data(address, config)


def test_a_damaged_cached_copy_is_named(many, memory):
    folder = open_data(*memory)
    list(batches(source_of(folder)))
    path = source_of(folder).files[0]
    flip_a_bit(path)
    manifest = Manifest.load(folder)
    manifest.verify(folder, full=False)
    with (
        pytest.raises(UserError, match=rf"{path.name}: its bytes .* delete this file"),
        naming_damage(folder, manifest),
    ):
        list(batches(source_of(folder)))
    path.unlink()
    assert_same(batches(source_of(many)), batches(source_of(folder)))


def test_no_dataset_at_an_address_is_said(memory, tmp_path):
    with pytest.raises(UserError, match="memory://nothing must be a dataset made by"):
        open_data("memory://nothing/", memory[1])
    assert open_data(tmp_path) == open_data(str(tmp_path)) == tmp_path


def test_a_local_folder_is_read_without_python(dataset):
    """Its pipeline has no call back into Python, and no cache."""
    for cycle in (1, 4):
        data = records(source_of(dataset), cycle=cycle)
        names = str(data._as_serialized_graph().numpy())
        assert "PyFunc" not in names
        assert "TFRecordDataset" in names


def test_a_run_from_s3_is_the_local_run(
    trained, dataset, bucket, upload, tmp_path, monkeypatch
):
    """Uploaded by the preparation's storage, trained on and evaluated there."""
    from stfn_keras.evaluation.evaluate import score_run
    from stfn_keras.training.run import Run
    from stfn_keras.training.train import train

    monkeypatch.setattr(direct, "reads", lambda location: False)
    address = upload(dataset, f"{bucket}/small")
    cache = CacheConfig(str(tmp_path / "cache"))
    run = train(
        open_data(address, cache), tmp_path / "run", small_model(), small_training()
    )
    assert_same_history(trained.folder, run.folder)
    opened = Run.open(run.folder)
    assert opened.data == address
    scores = score_run(opened, "1x1", 4, open_data(address, cache))
    expected = score_run(trained, "1x1", 4)
    np.testing.assert_array_equal(scores.logits, expected.logits)


ROOT = Path(__file__).parents[2]
SMALL = [
    "--network=spatial", "--stages=rgb", "--tower=tiny", "--rgb_weights=none",
    "--rgb_size=16", "--pairs=2", "--segments=3", "--rgb_segments=2",
    "--rgb_epochs=2", "--rgb_batch=4",
]  # fmt: skip


def command(*arguments):
    """Run a command of the project; a child can be judged by how it exits."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_tensorflow_io_reads_s3_itself(dataset, bucket, upload, tmp_path):
    """No shard is kept, the run is the local one, and commands exit as they should.

    Once it has touched s3://, a process with tensorflow-io aborts while it ends.
    """
    if not direct.reads("s3://bucket"):
        pytest.skip("needs the environment of the extra [io]: make test-io")
    address = upload(dataset, f"{bucket}/direct")
    cache = tmp_path / "cache"
    flags = [f"--data_cache={cache}"]
    local, far = tmp_path / "local", tmp_path / "far"
    done = command("train.py", "--data", dataset, "--out", local, *SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    done = command("train.py", "--data", address, "--out", far, *flags, *SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "finished:" in done.stdout
    assert_same_history(local, far)
    assert not list(cache.rglob("*.tfrecord"))
    found = []
    for run in (local, far):
        done = command("evaluate.py", "--run", run, "--json", *flags)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]

    name = next(s.file for s in Manifest.load(dataset).shards if s.roles == "e")
    flipped = shutil.copy(dataset / name, tmp_path / name)
    flip_a_bit(Path(flipped))
    storage.put(Path(flipped), f"{address}/{name}")
    for check in ("sizes", "full"):
        done = command("evaluate.py", "--run", far, f"--verify={check}", *flags)
        assert done.returncode == 1, done.stderr[-2000:]
        line = done.stderr.splitlines()[-1]
        assert line.startswith(f"error: {address}/{name}: its bytes are not those")

    storage.delete(f"{address}/{name}")
    done = command("evaluate.py", "--run", far, *flags)
    assert done.returncode == 1, done.stderr[-2000:]
    assert f"{address}/{name}: cannot be read" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {address}/{name}")


def test_verify_and_inspect_take_an_address(tmp_path):
    folder = write_dataset(tmp_path / "far")
    address, flags = f"file://{folder}", [f"--data_cache={tmp_path / 'cache'}"]
    done = command("-m", "data_prep", "verify", address, *flags)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.startswith(f"{address}: sound: 8 videos in 4 shards")
    assert not list((tmp_path / "cache").rglob("*.tfrecord"))  # verify keeps none
    sheet = tmp_path / "sheet.png"
    done = command("-m", "data_prep", "inspect", address, "--out", sheet, *flags)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{address}: 8 videos of 2 classes in 4 shards")
    assert sheet.exists()

    shard = folder / Manifest.load(folder).shards[1].file
    flip_a_bit(shard)
    shutil.rmtree(tmp_path / "cache")
    done = command("-m", "data_prep", "verify", address, *flags)
    assert done.returncode == 1
    assert f"{address}/{shard.name} is not what its manifest says" in done.stdout
