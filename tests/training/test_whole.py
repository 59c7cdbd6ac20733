"""Networks that cannot train on cached features: their stages see pixels."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import small_model, small_training
from small_resnet import use_small_resnet

from stfn_keras import models
from stfn_keras.config import PixelStageConfig, StageConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import evaluate
from stfn_keras.evaluation.explanation import Explainer
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.experiments.network import Recipe, check
from stfn_keras.experiments.towers import Towers
from stfn_keras.exporting.export import export
from stfn_keras.models.networks import action_vlad
from stfn_keras.training import whole
from stfn_keras.training.checks import check_settings, check_stages
from stfn_keras.training.initial import Initial
from stfn_keras.training.train import train
from stfn_keras.training.work import Work

pytestmark = pytest.mark.usefixtures("no_pictures")

VLAD = {"network": "action_vlad", "clusters": 2, "vlad_size": 8, "vlad_alpha": 5.0}
PIXELS = PixelStageConfig(epochs=1, batch=4, rate=1e-2, scales=(1.0,))
LONGER = StageConfig(epochs=8, batch=4, rate=1e-2, schedule="cosine")


BEGAN = []  # the centres that trainings started from


@pytest.fixture(scope="module")
def vlad(dataset, trained, tmp_path_factory):
    """ActionVLAD above the towers of the small STFN, tuned end to end after it."""

    def initialise(config, network, batches, seed):
        action_vlad.initialise(network, batches, seed)
        BEGAN.append(np.array(network.get_layer("rgb_vlad").centres))

    out = tmp_path_factory.mktemp("runs") / "vlad"
    training = small_training(
        stages=("fusion", "end_to_end"), end_to_end=PIXELS, fusion=LONGER
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "initialise", initialise)
        return train(dataset, out, small_model(**VLAD), training, trained.folder)


def test_what_stands_above_frozen_towers_is_trained_on_pixels(dataset, vlad, trained):
    folder, manifest = vlad.manifest()
    work = Work(vlad, folder, manifest, trained)
    network = whole.pixel_network(work)
    whole.load_result(work, "fusion", network)
    start = whole.pixel_network(work)
    models.take_towers(vlad.model, start, whole.trained_towers(work)[0])
    for stream in ("rgb", "flow"):
        name = f"{stream}_features"
        ours, theirs = (n.get_layer(name).get_weights() for n in (network, start))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)  # statistics of batch norms too
    # It began once, at centres of what its towers see, and went on from there.
    (began,) = BEGAN
    ended = np.array(network.get_layer("rgb_vlad").centres)
    assert 0 < np.abs(began - ended).max() < 0.3 < np.abs(began).max()


def test_end_to_end_moves_the_towers(vlad, trained):
    whole_network = trained_network(vlad)
    plain = trained_network(trained)
    a, b = (n.get_layer("rgb_features").get_weights() for n in (whole_network, plain))
    assert any(not np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_is_scored_and_exported_without_the_parts(vlad, tmp_path):
    found = evaluate(vlad, report=tmp_path / "report")
    assert found["video_top1"] >= 0.8
    folder = export(vlad, tmp_path / "model")
    parity = json.loads((folder / "assets.extra" / "parity.json").read_text())
    assert parity["saved_model"]["passed"]
    assert parity["saved_model"]["max_abs_diff"] <= 1e-5


def test_what_needs_pooled_features_says_so(vlad, trained):
    with pytest.raises(UserError, match="heat maps.*action_vlad"):
        Explainer(trained_network(vlad), vlad.model)
    recipe = Recipe(vlad.model, vlad.training, 0, "1x1")
    with pytest.raises(UserError, match="cached features.*--network=action_vlad"):
        check(recipe, Towers.open(trained))
    with pytest.raises(UserError, match="pooled features.*Received: --network=action"):
        models.build_head(vlad.model, 2, 128)


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({"network": "st_resnet"}, {}, "expected --tower to be one of resnet50"),
        (VLAD, {"folds": 2, "fusion_videos": "both"}, "--fusion_videos is of networks"),
        (VLAD, {"fusion_init": "towers"}, "--fusion_init is of networks above cached"),
    ],
)
def test_what_cannot_be_is_refused_before_towers_are_trained(
    dataset, model, training, message
):
    manifest = Manifest.load(dataset)
    with pytest.raises(UserError, match=message):
        check_settings(small_model(**model), small_training(**training), manifest)


def test_a_network_without_a_fusion_stage_says_which_it_has(tmp_path):
    model = small_model(network="st_resnet", tower="resnet50")
    stages = ("rgb", "flow", "fusion")
    with pytest.raises(UserError, match="--stages=rgb,flow,end_to_end"):
        check_stages(model, stages, tmp_path, None)


def test_other_classifiers_start_new_and_linked_towers_start_nothing(vlad, dataset):
    manifest = Manifest.load(dataset)
    plain = small_model(network="spatial")
    initial = Initial.open(vlad.folder, plain, small_training(), manifest)
    starts = {s.layer: s for s in initial.apply(models.build(plain, 2), "rgb")}
    assert starts["rgb_logits"].origin == "new"  # theirs reads VLAD's vectors
    assert starts["rgb_features/conv1"].origin == "taken"
    linked = dataclasses.replace(
        initial, model=small_model(network="st_resnet", tower="resnet50")
    )
    with pytest.raises(UserError, match="linked layer by layer"):
        linked._check_model(small_model(network="spatial", tower="resnet50"))


def test_linked_towers_are_trained_together(dataset, tmp_path, monkeypatch):
    use_small_resnet(monkeypatch)
    model = small_model(
        network="st_multiplier", tower="resnet50", rgb_size=32, flow_size=32
    )
    settings = small_training()
    stage = dataclasses.replace(settings.rgb, epochs=1)
    training = dataclasses.replace(
        settings, stages=("rgb", "flow", "end_to_end"), rgb=stage, flow_stage=stage,
        end_to_end=dataclasses.replace(
            PIXELS, epochs=2, frozen=0.2, partial_batchnorm=False
        ),
    )  # fmt: skip
    run = train(dataset, tmp_path / "linked", model, training)
    network = trained_network(run)
    folder, manifest = run.manifest()
    work = Work(run, folder, manifest, run)
    start = whole.assemble(work)
    moved = {}
    for stream in ("rgb", "flow"):
        layers = models.tower_layers(model, network, stream)
        before = models.tower_layers(model, start, stream)
        moved[stream] = [
            not all(
                np.array_equal(a, b)
                for a, b in zip(x.get_weights(), y.get_weights(), strict=True)
            )
            for x, y in zip(layers, before, strict=True)
        ]
        frozen = round(0.2 * len(layers))
        assert not any(moved[stream][:frozen])
        assert any(moved[stream][frozen:])
    again = train(dataset, tmp_path / "linked", model, training)  # nothing is left
    assert again.network_file.stat().st_mtime == run.network_file.stat().st_mtime
    found = evaluate(run, report=tmp_path / "report")
    assert found["videos"] == 5
