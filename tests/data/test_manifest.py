"""Manifests: round trip, roles, digests, and the refusal of what does not match."""

import copy
import dataclasses
import json

import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.data.manifest import (
    Manifest,
    Shard,
    check_match,
    preparation_config,
)
from stfn_keras.errors import UserError
from stfn_keras.files import sha256

FIELD = {
    "preset": "dis",
    "version": 1,
    "parameters": {"FinestScale": 1},
    "opencv": "5.0.0",
    "bound": 20.0,
    "pairs": 5,
}


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    shards = []
    for roles, videos in (("err", 3), ("rer", 2), ("rrr", 4)):
        file = f"demo-{roles}-00000-of-00001.tfrecord"
        (tmp_path / file).write_bytes(roles.encode() * 50)
        digest = sha256(tmp_path / file)
        shards.append(Shard(file, roles, videos, 150, digest))
    made = Manifest(
        schema=1,
        name="demo",
        protocol="ucf101",
        labels=("Zoo", "Art"),
        videos=9,
        absent=7,
        shards=tuple(shards),
        flow={"dis": FIELD},
        layout="snippet",
        snippets=25,
        rgb_per_snippet=1,
        size="256",
        flip=True,
    )
    made.save(tmp_path)
    return made


def test_round_trip(tmp_path, manifest):
    loaded = Manifest.load(tmp_path)
    assert loaded == manifest
    assert loaded.digest == manifest.digest
    assert not list(tmp_path.glob("*.partial*"))


def test_digest_depends_on_the_shards(manifest):
    shards = (dataclasses.replace(manifest.shards[0], sha256="0"), *manifest.shards[1:])
    assert dataclasses.replace(manifest, shards=shards).digest != manifest.digest


def test_roles_pick_files(tmp_path, manifest):
    names = [path.name for path in manifest.shard_files(tmp_path, 1, "r")]
    assert names == [
        "demo-rer-00000-of-00001.tfrecord",
        "demo-rrr-00000-of-00001.tfrecord",
    ]
    assert (manifest.splits, manifest.pairs) == (3, 5)
    assert [manifest.count(split, "e") for split in (1, 2, 3)] == [3, 2, 0]
    assert manifest.count(1, "r") == 6
    for split in (0, 4):
        with pytest.raises(UserError, match="1 to 3"):
            manifest.count(split, "r")


@pytest.mark.parametrize(
    ("change", "full"),
    [
        (lambda path: path.unlink(), False),
        (lambda path: path.write_bytes(b"short"), False),
        (lambda path: path.write_bytes(b"x" * 150), True),
    ],
)
def test_verify_names_the_altered_file(tmp_path, manifest, change, full):
    manifest.verify(tmp_path)
    change(tmp_path / manifest.shards[1].file)
    with pytest.raises(UserError, match="demo-rer-00000"):
        manifest.verify(tmp_path, full)


def test_missing_damaged_and_other_schemas(tmp_path, manifest):
    with pytest.raises(UserError, match="data_prep"):
        Manifest.load(tmp_path / "nowhere")
    path = tmp_path / "manifest.json"
    whole = json.loads(path.read_text())
    for text, word in (
        ("{", "damaged"),
        ("[]", "schema 1"),
        (json.dumps({**whole, "schema": 2}), "Received: 2"),
        (json.dumps({**whole, "extra": 2}), "damaged"),
        (json.dumps({"schema": 1}), "damaged"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=word):
            Manifest.load(tmp_path)


def test_preparation_round_trip(manifest):
    assert manifest.preparation == PreparationConfig()
    block = json.loads(json.dumps(manifest.preprocessing))
    assert preparation_config(block) == PreparationConfig()
    check_match(block, manifest.preprocessing)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preset", "tvl1"),
        ("version", 2),
        ("parameters", {"FinestScale": 0}),
        ("bound", 15.0),
        ("pairs", 10),
    ],
)
def test_other_flow_is_refused(manifest, key, value):
    data = copy.deepcopy(manifest.preprocessing)
    data["flow"]["dis"][key] = value
    with pytest.raises(UserError) as caught:
        check_match(manifest.preprocessing, data)
    assert str(FIELD[key]) in str(caught.value)
    assert str(value) in str(caught.value)


def test_other_size_and_frames_are_refused(manifest):
    for key, value in (("size", "340x256"), ("rgb_per_snippet", 2)):
        with pytest.raises(UserError, match=key):
            check_match(manifest.preprocessing, {**manifest.preprocessing, key: value})


def test_only_the_flow_that_a_model_reads_matters(manifest):
    model, data = (copy.deepcopy(manifest.preprocessing) for _ in range(2))
    data["flow"]["tvl1"] = {**FIELD, "preset": "tvl1"}
    data["flow"]["dis"]["opencv"] = "4.12.0"
    check_match(model, data)
    model["flow"] = {}
    check_match(model, data)
    with pytest.raises(UserError, match="--flow=tvl1"):
        check_match(data, manifest.preprocessing)


@pytest.mark.parametrize("file", ["../a.tfrecord", "/a.tfrecord", "a/b.tfrecord",
                                  ".tfrecord", "a.txt", "..\\a.tfrecord"])  # fmt: skip
def test_a_manifest_names_files_of_its_own_folder_alone(dataset, tmp_path, file):
    """A manifest from elsewhere must not reach files outside its folder."""
    block = json.loads((dataset / "manifest.json").read_text())
    block["shards"][0]["file"] = file
    (tmp_path / "manifest.json").write_text(json.dumps(block))
    with pytest.raises(UserError, match="a shard's name must be NAME.tfrecord"):
        Manifest.load(tmp_path)
