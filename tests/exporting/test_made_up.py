"""Archives become models without their data: proven on made-up videos, and said so."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import small_model, small_training
from forked import run

from stfn_keras.data import pipeline
from stfn_keras.errors import UserError
from stfn_keras.exporting import prove, saved_model
from stfn_keras.exporting.export import export
from stfn_keras.exporting.made_up import VIDEOS, made_up_source
from stfn_keras.exporting.options import ExportConfig
from stfn_keras.training.archive import opened
from stfn_keras.training.publishing import publish
from stfn_keras.training.train import train
from stfn_keras.video.centre import centre_views

SIZES = {"rgb": 16, "flow": 16}


@pytest.fixture(scope="module")
def archive(trained, tmp_path_factory):
    return publish(trained.folder, tmp_path_factory.mktemp("a") / "stfn.zip").path


def parity_of(folder: Path) -> dict:
    return json.loads((folder / "assets.extra" / "parity.json").read_text())[
        "saved_model"
    ]


def test_an_archive_is_exported_with_parity_on_made_up_videos(archive, tmp_path):
    with opened(archive) as run:
        parity = parity_of(export(run, tmp_path / "m"))
    assert parity["made_up"]
    assert parity["accuracy"] is None
    assert parity["passed"]
    assert parity["videos"] == VIDEOS


def test_with_data_parity_is_measured_on_them(archive, exported, dataset, tmp_path):
    with opened(archive) as run:
        parity = parity_of(export(run, tmp_path / "m", dataset))
    expected = parity_of(exported)
    measured = {"bytes": parity["bytes"], "latency_ms": parity["latency_ms"]}
    assert parity == {**expected, **measured}
    assert parity["videos"] == 5
    assert "made_up" not in parity


def test_a_server_that_differs_is_noticed_on_made_up_videos(
    archive, tmp_path, monkeypatch
):
    """Guards videos too dull to tell two ways of normalising apart."""

    def shifted(*given):
        views = centre_views(*given)
        return {**views, "flow": 255 - views["flow"]}

    monkeypatch.setattr(saved_model, "centre_views", shifted)
    with opened(archive) as run, pytest.raises(UserError, match="nothing was publish"):
        export(run, tmp_path / "m")
    assert not list((tmp_path / "m").iterdir())


def test_int8_needs_training_videos(archive, tmp_path, monkeypatch):
    """It is refused, and what needs none is published."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(prove.formats, "convert", None)
    config = ExportConfig(formats=("litert_int8",), bench=True)
    with opened(archive) as run:
        folder = export(run, tmp_path / "m", config=config)
    rows = json.loads((folder / "assets.extra" / "parity.json").read_text())
    assert rows["saved_model"]["passed"]
    assert not rows["litert_int8"]["passed"]
    assert rows["litert_int8"]["reason"].endswith("give --data")
    assert rows["litert_int8"]["made_up"]
    assert json.loads((folder / "assets.extra" / "config.json").read_text())[
        "formats"
    ] == ["saved_model"]


@pytest.mark.parametrize("size", ["32", "40x32"])
def test_made_up_videos_are_of_the_runs_kind(trained, size):
    run = dataclasses.replace(
        trained, preprocessing={**trained.preprocessing, "size": size}
    )
    with made_up_source(run, SIZES) as source:
        (file,) = source.files
        batches = pipeline.view_batches(
            source, segments=3, samplings=1, crops=1, batch=VIDEOS
        )
        (inputs, about), *more = batches.as_numpy_iterator()
    assert not file.exists()
    assert not more
    assert inputs["rgb"].shape == (VIDEOS, 3, 16, 16, 3)
    assert inputs["flow"].shape == (VIDEOS, 3, 16, 16, 4)
    assert len(set(about["id"])) == VIDEOS
    assert min(inputs["rgb"].std(), inputs["flow"].std()) > 20
    assert not np.array_equal(inputs["rgb"][0], inputs["rgb"][1])


def test_a_network_of_flow_alone(trained, dataset, tmp_path):
    run = train(
        dataset, tmp_path / "run", small_model(network="temporal"),
        small_training(stages=("flow",)), towers_from=trained.folder,
    )  # fmt: skip
    path = publish(run.folder, tmp_path / "flow.zip").path
    with opened(path) as back:
        assert parity_of(export(back, tmp_path / "m"))["passed"]


@pytest.mark.slow
def test_the_commands_read_archives(archive, dataset, tmp_path):
    made = run("export.py", "--run", str(archive), "--out", str(tmp_path / "m"))
    assert made.returncode == 0, made.stderr
    assert "on 8 made-up videos" in made.stdout
    assert "no accuracy measured" in made.stdout
    without = run("evaluate.py", "--run", str(archive))
    assert without.returncode == 1
    assert without.stderr.splitlines()[-1].endswith("where its data lie here")
    found = run("evaluate.py", "--run", str(archive), "--data", str(dataset))
    assert found.returncode == 0, found.stderr
    report = archive.with_name("stfn.zip.report")
    assert json.loads((report / "metrics.json").read_text())["videos"] == 5


@pytest.mark.slow
def test_the_publish_command(trained, tmp_path):
    out = tmp_path / "stfn.zip"
    made = run("-m", "stfn_keras.training.publish", str(trained.folder),
                   f"--out={out}", "--license=MIT")  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert f"published: {out}" in made.stdout
    assert "SHA-256: " in made.stdout
    wrong = run("-m", "stfn_keras.training.publish")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("error: expected one run directory")
