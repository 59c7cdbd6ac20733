"""Networks whose RGB tower is lifted: trained from flags, scored, exported, refused."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import small_model, small_training
from parsed import call
from small_resnet import use_one_stage

from stfn_keras import models
from stfn_keras.commands import train as train_command
from stfn_keras.config import MachineConfig, ModelConfig
from stfn_keras.config.stored import from_dict
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import default_views, evaluate
from stfn_keras.evaluation.explanation import Explainer
from stfn_keras.evaluation.scoring import trained_network, view_config
from stfn_keras.experiments.network import Recipe, check
from stfn_keras.experiments.poster_table import poster_table
from stfn_keras.experiments.towers import train_towers
from stfn_keras.exporting.export import export
from stfn_keras.serving.sliding import SlidingNetwork
from stfn_keras.training import whole
from stfn_keras.training.checks import check_machine, check_settings, towers_run
from stfn_keras.training.initial import Initial
from stfn_keras.training.run import Run
from stfn_keras.training.work import Work

pytestmark = pytest.mark.usefixtures("no_pictures")

SIZES = ("--tower=resnet50", "--rgb_size=16", "--pairs=2", "--segments=3", "--width=2",
         "--blocks=0")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        use_one_stage(patch)
        yield


@pytest.fixture(scope="module")
def shifted(dataset, tmp_path_factory):
    """An STFN above a tower with temporal shifts, whose own stage sees two segments."""
    out = tmp_path_factory.mktemp("runs") / "shifted"
    stages = [
        f"--{stage}_{setting}"
        for stage in ("rgb", "flow", "fusion")
        for setting in ("epochs=1", "batch=4", "rate=1e-2", "optimizer=adam")
    ]
    towers = [f"--{stage}_segments=2" for stage in ("rgb", "flow")]
    call(train_command, f"--data={dataset}", f"--out={out}", "--network=stfn",
         "--rgb_motion=shift", "--rgb_weights=none", "--norgb_partial_batchnorm",
         "--noflow_partial_batchnorm", "--fusion_init=towers", *SIZES, *stages,
         *towers)  # fmt: skip
    return Run.open(out)


def test_the_fusion_sees_whole_videos_through_the_towers(dataset, shifted):
    folder, manifest = shifted.manifest()
    network = trained_network(shifted)
    tower = network.get_layer("rgb_features").layer
    shift = tower.get_layer("conv2_block1_shift")
    assert isinstance(shift, models.TemporalShift) and shift.segments == 3
    towers, _ = whole.trained_towers(Work(shifted, folder, manifest, shifted))
    own = towers["rgb"].get_layer("rgb_features").layer
    assert own.get_layer("conv2_block1_shift").segments == 2
    for a, b in zip(tower.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # as its own stage left them
    assert not (shifted.folder / "features").exists()


def test_it_is_scored_and_exported_without_the_parts(shifted, tmp_path):
    assert default_views(shifted) == "1x1"
    found = evaluate(shifted, report=tmp_path / "report")
    assert found["videos"] == 5
    folder = export(shifted, tmp_path / "model")
    parity = json.loads((folder / "assets.extra" / "parity.json").read_text())
    assert parity["saved_model"]["passed"]
    signatures = tf.saved_model.load(str(folder)).signatures
    assert set(signatures) == {"serving_default", "serve_jpeg"}
    with pytest.raises(UserError, match="single segments have.*serving_default"):
        SlidingNetwork(folder)


def test_heat_maps_are_of_the_whole_video(shifted):
    network = trained_network(shifted)
    draws = np.random.default_rng(0)
    views = {
        name: draws.integers(0, 256, tensor.shape[1:], "uint8")
        for name, tensor in network.input.items()
    }
    found = Explainer(network, shifted.model).explain(views)
    logits = network({name: view[None] for name, view in views.items()})["logits"]
    np.testing.assert_allclose(found.logits, logits[0], rtol=1e-4, atol=1e-5)


def test_experiments_on_cached_features_refuse_it(shifted, dataset, tmp_path):
    recipe = Recipe(shifted.model, shifted.training, 0, "1x1")
    with pytest.raises(UserError, match="with --rgb_motion=shift more is read"):
        check(recipe, None)
    with pytest.raises(UserError, match="with --rgb_motion=shift more is read"):
        poster_table([shifted], 1, out=tmp_path)
    with pytest.raises(UserError, match="--rgb_motion=shift, with which the towers"):
        train_towers(dataset, tmp_path, shifted.model, shifted.training, (1,))
    plain = dataclasses.replace(shifted.model, rgb_motion="none")
    other = dataclasses.replace(shifted, model=plain, towers_from=shifted.folder)
    with pytest.raises(UserError, match="were trained with --rgb_motion shift"):
        towers_run(other)


def test_a_plain_run_starts_a_lifted_one(shifted, dataset):
    gated = dataclasses.replace(shifted.model, network="spatial", rgb_motion="gate")
    manifest = Manifest.load(dataset)
    initial = Initial.open(shifted.folder, gated, shifted.training, manifest)
    starts = initial.apply(models.build(gated, 2), "rgb")
    new = {s.layer for s in starts if s.origin == "new"}
    assert new == {f"rgb_features/conv2_block{b}_gate" for b in (1, 2)}


def test_a_tower_of_its_own_is_shown_whole_videos(shifted):
    alone = shifted.model.alone("rgb")
    assert view_config(alone).segments == 3
    assert view_config(dataclasses.replace(alone, rgb_motion="none")).segments == 1


STFN = {"rgb_motion": "gate", "tower": "resnet50"}
OFF = {"network": "off"}


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        (STFN, {"folds": 2, "fusion_videos": "both"},
         "with --rgb_motion=gate the network trains on pixels, and --fusion_videos"),
        (STFN, {"feature_views": 2}, "--feature_views is of networks above cached"),
        ({**STFN, "tower": "tiny"}, {}, "--rgb_motion=gate goes into residual blocks"),
        (OFF, {"feature_views": 2, "stream_loss": 1.0}, "--feature_views is of"),
        (OFF, {"modality_dropout": 0.2, "stream_loss": 1.0}, "--modality_dropout is"),
        (OFF, {}, "classifiers that losses of their own alone train"),
        ({**OFF, "consensus": "max"}, {"stream_loss": 1.0}, "expected --consensus=m"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_towers_are_trained(
    dataset, model, training, message
):
    manifest = Manifest.load(dataset)
    with pytest.raises(UserError, match=message):
        check_settings(small_model(**model), small_training(**training), manifest)


def test_what_a_lifted_network_can_do_is_not_refused(dataset):
    manifest = Manifest.load(dataset)
    fusion = small_training(modality_dropout=0.2, fusion_init="towers")
    check_settings(small_model(**STFN), fusion, manifest)
    alone = small_model(**STFN, network="spatial")
    check_settings(alone, small_training(feature_views=2), manifest)
    towers = small_training(stages=("rgb", "flow"))
    check_settings(small_model(**OFF), towers, manifest)


@pytest.mark.parametrize(
    ("network", "stage"), [("off", "fusion"), ("st_resnet", "end_to_end")]
)
def test_recomputing_is_refused_before_towers_are_trained(network, stage):
    model, machine = small_model(network=network), MachineConfig(recompute=True)
    training = small_training(stages=("rgb", "flow", stage))
    with pytest.raises(UserError, match=f"--recompute for the stage {stage}"):
        check_machine(model, training, machine)
    towers = small_training(stages=("rgb", "flow"))
    check_machine(model, towers, machine)
    check_machine(small_model(), small_training(), machine)


def test_a_run_of_an_older_version_keeps_its_gate():
    """Its flag was --motion_gate, which had no other kinds beside it."""
    stored = dataclasses.asdict(ModelConfig())
    del stored["feature_motion"], stored["rgb_motion"]
    assert from_dict(ModelConfig, {**stored, "motion_gate": False}) == ModelConfig()
    gated = from_dict(ModelConfig, {**stored, "motion_gate": True})
    assert gated == ModelConfig(feature_motion="gate")
