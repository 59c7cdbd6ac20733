"""Exports: equal to evaluation, versioned, whole or absent, weights stored once."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.data import pipeline
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import score_run
from stfn_keras.evaluation.scores import softmax
from stfn_keras.exporting import guards, saved_model
from stfn_keras.exporting.export import export
from stfn_keras.exporting.parity import jpeg_inputs
from stfn_keras.files import sha256
from stfn_keras.training.train import train
from stfn_keras.video.centre import centre_views


def test_scores_equal_the_evaluations_from_encoded_bytes(exported, trained):
    serve = tf.saved_model.load(str(exported)).signatures["serve_jpeg"]
    folder, manifest = trained.manifest()
    source = open_source(folder, manifest, 1, "e", "dis", {"rgb": 16, "flow": 16})
    scores = score_run(trained, "1x1", batch=4)
    expected = dict(zip(scores.video_id, softmax(scores.logits), strict=True))
    seen = 0
    for bundle in pipeline.encoded_batches(source, segments=3, batch=2):
        found = serve(**jpeg_inputs(bundle))["scores"].numpy()
        for key, row in zip(bundle["id"].numpy(), found, strict=True):
            np.testing.assert_allclose(row, expected[key.decode()], atol=1e-5)
            seen += 1
    assert seen == 5


def test_serving_default_takes_uint8_and_any_batch(exported):
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    draws = np.random.default_rng(0)
    rgb = draws.integers(0, 256, (3, 3, 16, 16, 3)).astype(np.uint8)
    flow = draws.integers(1, 256, (3, 3, 16, 16, 4)).astype(np.uint8)
    together = serve(rgb=tf.constant(rgb), flow=tf.constant(flow))
    assert together["scores"].shape == (3, 2)
    np.testing.assert_allclose(
        together["scores"], softmax(together["logits"].numpy()), atol=1e-6
    )
    for row in range(3):  # a sample's scores do not depend on its neighbours
        alone = serve(
            rgb=tf.constant(rgb[row : row + 1]), flow=tf.constant(flow[row : row + 1])
        )
        np.testing.assert_allclose(
            alone["scores"][0], together["scores"][row], atol=1e-5
        )


def test_a_network_that_would_refuse_its_own_videos_is_not_exported(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setitem(guards.MAX_VIDEO_PIXELS, "flow_jpeg", 1000)
    with pytest.raises(UserError, match="1000 pixels of flow.*3 segments.* or --pairs"):
        export(trained, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_the_folder_holds(exported, trained):
    extra = exported / "assets.extra"
    assert (extra / "labels.txt").read_text().split() == ["left", "right"]
    parity = json.loads((extra / "parity.json").read_text())["saved_model"]
    assert parity["passed"]
    assert parity["max_abs_diff"] <= 1e-5
    assert parity["top1_agreement"] == 1.0
    assert parity["signatures_apart"] <= 1e-5
    assert parity["latency_ms"] > 0
    assert parity["videos"] == 5
    config = json.loads((extra / "config.json").read_text())
    assert config["flow"] == "dis"
    assert config["inputs"] == {"rgb": [3, 16, 16, 3], "flow": [3, 16, 16, 4]}
    assert config["formats"] == ["saved_model"]
    files = {p.relative_to(exported).as_posix() for p in exported.rglob("*.*")}
    files = {file for file in files if (exported / file).is_file()}
    assert files - {"assets.extra/config.json"} <= set(config["sha256"])
    for file, digest in config["sha256"].items():
        assert sha256(exported / file) == digest


def test_weights_are_stored_once(exported, trained):
    from stfn_keras.evaluation.scoring import trained_network

    parameters = trained_network(trained).count_params()
    stored = sum(f.stat().st_size for f in (exported / "variables").iterdir())
    assert stored < 4 * parameters * 1.3


def test_versions_count_up_and_nothing_is_overwritten(trained, exported):
    before = sha256(exported / "saved_model.pb")
    again = export(trained, exported.parent)
    assert (exported.name, again.name) == ("1", "2")
    assert sha256(exported / "saved_model.pb") == before
    shutil.rmtree(again)


def test_a_folder_of_something_else_is_refused(trained, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="holds letter.txt; nothing was changed"):
        export(trained, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_beyond_the_tolerance_nothing_is_published(trained, tmp_path, monkeypatch):
    def shifted(*given):  # a server that normalises otherwise than training
        views = centre_views(*given)
        return {**views, "rgb": 255 - views["rgb"]}

    monkeypatch.setattr(saved_model, "centre_views", shifted)
    with pytest.raises(UserError, match="nothing was published"):
        export(trained, tmp_path / "m")
    assert not list((tmp_path / "m").iterdir())


@pytest.mark.parametrize("network", ["spatial", "temporal", "late_fusion"])
def test_networks_of_one_stream_take_that_stream(trained, dataset, tmp_path, network):
    from conftest import small_model, small_training

    config = small_model(network=network)
    run = train(
        dataset, tmp_path / "run", config, small_training(stages=config.streams),
        towers_from=trained.folder,
    )  # fmt: skip
    folder = export(run, tmp_path / "m")
    signatures = tf.saved_model.load(str(folder)).signatures
    inputs = {n: set(f.structured_input_signature[1]) for n, f in signatures.items()}
    streams = {f"{stream}_jpeg" for stream in config.streams}
    sizes = {"height", "width"} if network == "temporal" else set()
    assert inputs == {
        "serving_default": set(config.streams),
        "serve_jpeg": streams | sizes,
        "features": set(config.streams),
        "fuse": {f"{stream}_features" for stream in config.streams},
    }
