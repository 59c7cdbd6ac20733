"""What longer training asks for: averages, held-out groups, patience, weights."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import small_model, small_training

from stfn_keras.config import MachineConfig, StageConfig, TowerStageConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.training import stage, stages
from stfn_keras.training.checks import check_settings
from stfn_keras.training.train import train

pytestmark = pytest.mark.usefixtures("no_pictures")
PIXELS = TowerStageConfig(epochs=3, batch=4, rate=1e-2, segments=2, scales=(1.0,))


def work_of(run):
    return stages.Work(run, *run.manifest(), run)


def test_the_result_is_the_average(dataset, tmp_path):
    config = dataclasses.replace(PIXELS, ema=0.8)
    model = small_model(network="spatial")
    networks = []
    for name, ema in (("averaged", 0.8), ("plain", 0.0)):
        settings = small_training(
            rgb=dataclasses.replace(config, ema=ema), stages=("rgb",)
        )
        run = train(dataset, tmp_path / name, model, settings)
        networks.append(trained_network(run).get_weights())
    differences = [np.abs(a - b).max() for a, b in zip(*networks, strict=True)]
    assert max(differences) > 1e-3


def test_held_out_groups_validate_and_training_stops_when_nothing_gets_better(
    dataset, tmp_path
):
    """At rate 0 no epoch is better than the first."""
    still = dataclasses.replace(PIXELS, epochs=9, rate=0.0, patience=2)
    settings = small_training(rgb=still, stages=("rgb",), folds=3, fold=1)
    run = train(dataset, tmp_path / "run", small_model(network="spatial"), settings)
    history = pd.read_csv(run.folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["val_top1"].notna().all()
    work = work_of(run)
    assert work.checkpoints("rgb").result()[0].name == "epoch-0001.keras"
    assert work.source("r", {"rgb": 16}).videos == 12 - len(work.parts.validation)


def test_patience_without_validation_videos_is_refused(dataset, tmp_path):
    manifest = Manifest.load(dataset)
    test_only = dataclasses.replace(
        manifest, shards=tuple(s for s in manifest.shards if s.roles != "v")
    )
    settings = small_training(fusion=StageConfig(patience=3))
    with pytest.raises(UserError, match="--fusion_patience .*--folds=5"):
        check_settings(small_model(), settings, test_only)
    check_settings(small_model(), dataclasses.replace(settings, folds=3), test_only)


def test_towers_that_saw_the_held_out_videos_are_refused(dataset, trained, tmp_path):
    settings = dataclasses.replace(
        trained.training, folds=3, fold=2, fusion_videos="held_out", stages=("fusion",)
    )
    with pytest.raises(UserError, match="--folds 0, this run has 3"):
        train(dataset, tmp_path / "run", trained.model, settings, trained.folder)


def test_no_stage_validates_on_what_trained_the_one_before(dataset, tmp_path):
    settings = small_training(folds=3, fusion_videos="both")
    work = stages.Work(
        SimpleNamespace(training=settings), dataset, Manifest.load(dataset), None
    )
    assert work.validates("rgb")
    assert not work.validates("fusion") and not work.validates("end_to_end")
    waiting = dataclasses.replace(
        settings,
        stages=("rgb", "flow", "fusion", "end_to_end"),
        end_to_end=dataclasses.replace(settings.end_to_end, patience=1),
    )
    with pytest.raises(UserError, match="--end_to_end_patience"):
        check_settings(small_model(), waiting, Manifest.load(dataset))


def test_the_fusion_may_train_on_videos_that_the_towers_never_saw(dataset, tmp_path):
    settings = small_training(folds=3, fold=1, fusion_videos="held_out")
    settings = dataclasses.replace(
        settings, fusion=StageConfig(epochs=1, batch=1, rate=1e-2)
    )
    run = train(dataset, tmp_path / "run", small_model(), settings)
    work = work_of(run)
    model = stage.fitted_model(stages.fusion_network(run), 0.0)
    optimizer = stage.prepared(model, work.stage("fusion"), 1).optimizer
    work.checkpoints("fusion").restore(model, optimizer)
    assert int(optimizer.iterations) == len(work.parts.validation)
    history = pd.read_csv(run.folder / "history.csv").set_index("stage")
    assert history.loc["rgb", "val_top1"].notna().all()
    assert np.isnan(history.loc["fusion", "val_top1"])
    with pytest.raises(UserError, match="--fusion_videos=both needs --folds"):
        small_training(fusion_videos="both")


def test_class_weights_weigh_the_loss(dataset, tmp_path, trained):
    work = work_of(trained)
    assert work.class_weights == ()
    model = stage.fitted_model(stages.fusion_network(trained), 0.5)
    labels, weights = stage.targets_for(model, 2, (0.5, 2.0))(1)
    assert set(labels) == set(weights) == {"logits", "rgb_logits", "flow_logits"}
    assert float(weights["logits"]) == 2.0
    balanced = small_training(class_weights="balanced", stages=("rgb",))
    run = train(dataset, tmp_path / "run", small_model(network="spatial"), balanced)
    np.testing.assert_allclose(work_of(run).class_weights, (1.0, 1.0))


def test_a_fusion_may_start_from_the_towers_classifiers(dataset, trained, tmp_path):
    """Without epochs it is late fusion, where every temporal module is the identity."""
    settings = dataclasses.replace(
        trained.training,
        stages=("fusion",),
        fusion_init="towers",
        fusion=StageConfig(epochs=0),
    )
    run = train(dataset, tmp_path / "run", trained.model, settings, trained.folder)
    network = trained_network(run)
    towers, _ = stages.trained_towers(work_of(trained))
    for stream, tower in towers.items():
        name = f"{stream}_logits"
        for a, b in zip(
            network.get_layer(name).get_weights(),
            tower.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


def test_the_first_convolution_may_have_its_own_rate(dataset, tmp_path):
    """At factor 0 it stays; the rest of the tower is trained."""
    config = dataclasses.replace(PIXELS, epochs=1, first_rate=0.0)
    model = small_model(network="spatial")
    runs = [
        train(
            dataset,
            tmp_path / str(epochs),
            model,
            small_training(
                rgb=dataclasses.replace(config, epochs=epochs), stages=("rgb",)
            ),
        )
        for epochs in (0, 1)
    ]
    towers = [stages.tower_of(trained_network(run), "rgb") for run in runs]
    before, after = ([w for w in t.trainable_weights] for t in towers)
    np.testing.assert_array_equal(before[0], after[0])
    assert any(
        np.abs(np.array(a) - np.array(b)).max() > 0
        for a, b in zip(before[1:], after[1:], strict=True)
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_the_result_is_read_in_float32(
    dataset, tmp_path, precision
):
    settings = small_training(
        rgb=dataclasses.replace(PIXELS, epochs=1, ema=0.5, clip_norm=1.0),
        flow_stage=dataclasses.replace(PIXELS, epochs=0),
        fusion=StageConfig(epochs=1, batch=4, rate=1e-2),
        precision=precision,
    )
    run = train(dataset, tmp_path / "run", small_model(), settings)
    history = pd.read_csv(run.folder / "history.csv")
    assert np.isfinite(history["loss"]).all()
    network = trained_network(run)
    assert {v.dtype for v in network.trainable_variables} == {"float32"}
    assert network.compute_dtype == "float32"


def test_towers_are_computed_again_with_the_same_figures(dataset, tmp_path):
    settings = small_training(
        rgb=dataclasses.replace(PIXELS, epochs=1, partial_batchnorm=False),
        stages=("rgb",),
    )
    rows = []
    for recompute in (False, True):
        run = train(
            dataset, tmp_path / f"run{recompute}", small_model(network="spatial"),
            settings, machine=MachineConfig(recompute=recompute),
        )  # fmt: skip
        rows.append(pd.read_csv(run.folder / "history.csv").drop(columns="seconds"))
    np.testing.assert_allclose(
        rows[0].select_dtypes("number"), rows[1].select_dtypes("number"), rtol=1e-5
    )


def test_a_batch_in_parts_is_one_update_of_the_whole(dataset, tmp_path):
    """Without batch statistics, which a part has of its own."""
    whole = dataclasses.replace(PIXELS, epochs=2, dropout=0.0, frozen=1.0)
    rows = []
    for parts in (1, 2):
        config = dataclasses.replace(whole, accumulate_steps=parts)
        settings = small_training(rgb=config, stages=("rgb",))
        model = small_model(network="spatial")
        run = train(dataset, tmp_path / f"run{parts}", model, settings)
        rows.append(pd.read_csv(run.folder / "history.csv").drop(columns="seconds"))
    np.testing.assert_allclose(
        rows[0].select_dtypes("number"), rows[1].select_dtypes("number"), rtol=1e-5
    )
    with pytest.raises(UserError, match="must divide its batch"):
        dataclasses.replace(whole, accumulate_steps=3)
