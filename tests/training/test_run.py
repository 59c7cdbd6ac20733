"""Run directories: continued with the same settings, refused otherwise."""

import dataclasses
import json
import shutil

import pytest
from conftest import small_model, small_training

from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.training.run import Run


def start(folder, dataset, model=None, training=None):
    return Run.start(
        folder, dataset, Manifest.load(dataset), model or small_model(),
        training or small_training(),
    )  # fmt: skip


def test_round_trip(dataset, tmp_path):
    run = start(tmp_path / "run", dataset)
    assert Run.open(tmp_path / "run") == run


def test_stages_may_differ_settings_may_not(dataset, tmp_path):
    run = start(tmp_path / "run", dataset, training=small_training(stages=("rgb",)))
    run.checkpoints.mkdir()  # something is trained
    start(tmp_path / "run", dataset, training=small_training(stages=("flow",)))
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"model.blocks is 1 there and 2 here"):
        start(tmp_path / "run", dataset, model=small_model(blocks=2))
    fusion = dataclasses.replace(small_training().fusion, epochs=9)
    with pytest.raises(UserError, match=r"training.fusion.epochs is 2 there and 9"):
        start(tmp_path / "run", dataset, training=small_training(fusion=fusion))
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(dataset, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        start(tmp_path, dataset)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "config.json").write_text(json.dumps({"kind": "other"}))
    with pytest.raises(UserError, match="expected a run directory"):
        start(tmp_path, dataset)


def test_moved_data_are_taken_others_refused(dataset, tmp_path):
    run = start(tmp_path / "run", dataset)
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    assert run.manifest(moved)[0] == moved
    start(tmp_path / "run", moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["shards"][0]["sha256"] = "0" * 64
    (moved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="made of other data"):
        run.manifest(moved)


def test_data_of_another_flow_preset_are_named(dataset, tmp_path):
    run = start(tmp_path / "run", dataset)
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    text = (other / "manifest.json").read_text().replace('"dis"', '"tvl1"')
    (other / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"flow 'dis'.*tvl1.*--flow=dis"):
        run.manifest(other)


def test_a_run_of_an_older_version_takes_the_defaults_of_what_it_did_not_know(
    dataset, tmp_path
):
    run = start(tmp_path / "run", dataset)
    path = tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text())
    del stored["model"]["feature_norm"], stored["training"]["rgb"]["ema"]
    path.write_text(json.dumps(stored))
    assert Run.open(tmp_path / "run").settings() == run.settings()


def test_a_run_of_a_newer_version_is_named(dataset, tmp_path):
    start(tmp_path / "run", dataset)
    path = tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text())
    stored["model"]["colour"] = "blue"
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match="newer version: it has colour"):
        Run.open(tmp_path / "run")
