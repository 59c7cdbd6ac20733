"""Stages end to end on the small dataset: learning, resuming, baselines."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import small_model, small_training
from filelock import FileLock

from stfn_keras.config import MachineConfig, PixelStageConfig, TowerStageConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.files import write_json
from stfn_keras.training import stage, stages, state
from stfn_keras.training import train as training
from stfn_keras.training.checks import towers_run
from stfn_keras.training.objective import Sums
from stfn_keras.training.train import train
from stfn_keras.training.whole import assemble

pytestmark = pytest.mark.usefixtures("no_pictures")
FIELDS = {"rgb": "rgb", "flow": "flow_stage"}


def weights(run):
    return trained_network(run).get_weights()


def test_a_run_leaves_what_the_design_says(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert names >= {"config.json", "checkpoints", "history.csv", "tensorboard"}
    history = pd.read_csv(trained.folder / "history.csv")
    assert history["stage"].tolist() == ["rgb"] * 2 + ["flow"] * 2 + ["fusion"] * 2
    assert history["epoch"].tolist() == [1, 2] * 3
    assert history[["loss", "top1", "mean_class", "val_top1"]].notna().all().all()


def test_an_epoch_takes_as_many_steps_as_it_has_batches(trained):
    """Keras' fit counted one more where it was not told the number of batches."""
    work = stages.Work(trained, trained.data, trained.manifest()[1], trained)
    model = stage.fitted_model(stages.fusion_network(trained), 0.0)
    optimizer = stage.prepared(model, work.stage("fusion"), 3).optimizer
    work.checkpoints("fusion").restore(model, optimizer)
    assert int(optimizer.iterations) == 2 * (12 // 4)


def test_training_twice_is_training_once(trained, dataset):
    before = trained.network_file.stat().st_mtime_ns
    train(dataset, trained.folder, trained.model, trained.training)
    assert trained.network_file.stat().st_mtime_ns == before
    assert len(pd.read_csv(trained.folder / "history.csv")) == 6


def test_stages_one_at_a_time_give_the_same_run(trained, dataset, tmp_path):
    for name in ("rgb", "flow", "fusion"):
        run = train(
            dataset, tmp_path / "run", small_model(), small_training(stages=(name,))
        )
        assert run.network_file.exists() == (name == "fusion")
    for a, b in zip(weights(trained), weights(run), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_damage_is_named_while_training(dataset, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(dataset, folder)
    shard = next(s.file for s in Manifest.load(folder).shards if s.roles == "r")
    data = bytearray((folder / shard).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / shard).write_bytes(data)
    with pytest.raises(UserError, match=f"{shard}.*not those that were written"):
        train(folder, tmp_path / "run", small_model(), small_training(stages=("rgb",)))


def test_before_anything_is_trained_settings_may_be_mended(dataset, tmp_path):
    wrong = small_training(rgb_weights="nowhere.weights.h5")
    with pytest.raises(UserError, match="nowhere"):
        train(dataset, tmp_path / "run", small_model(), wrong)
    right = small_training(stages=("rgb",))
    assert train(dataset, tmp_path / "run", small_model(), right)


@pytest.mark.parametrize("network", ["spatial", "temporal", "late_fusion"])
def test_consensus_networks_are_the_towers_own_classifiers(
    trained, dataset, tmp_path, network
):
    model = small_model(network=network)
    run = train(
        dataset, tmp_path / "run", model, small_training(stages=model.streams),
        towers_from=trained.folder,
    )  # fmt: skip
    network = trained_network(run)
    work = stages.Work(trained, dataset, trained.manifest()[1], trained)
    towers, _ = stages.trained_towers(work)
    for stream in model.streams:
        ours = network.get_layer(f"{stream}_logits").get_weights()
        theirs = towers[stream].get_layer(f"{stream}_logits").get_weights()
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_towers_from_takes_towers_and_cache(trained, dataset, tmp_path, monkeypatch):
    def untouched(*arguments):
        raise AssertionError("a tower was trained, or features computed again")

    monkeypatch.setattr(stages, "train_tower", untouched)
    monkeypatch.setattr(training.stages.features, "view_batches", untouched)
    run = train(
        dataset, tmp_path / "run", small_model(network="feature_fusion"),
        small_training(), towers_from=trained.folder,
    )  # fmt: skip
    assert run.network_file.exists()
    with pytest.raises(UserError, match="towers_from is 'given' there"):
        train(dataset, run.folder, run.model, run.training)
    with pytest.raises(UserError, match="trained with --rgb_size 16, this run has 20"):
        train(dataset, tmp_path / "b", small_model(rgb_size=20), small_training(),
              towers_from=trained.folder)  # fmt: skip


def test_towers_of_a_first_frame_fit_runs_that_read_more_or_fewer(trained, tmp_path):
    shown = dataclasses.replace(trained.model, frames=3)
    other = dataclasses.replace(trained, folder=tmp_path, model=shown)
    write_json(tmp_path / "config.json", other.settings())
    taking = dataclasses.replace(trained, towers_from=tmp_path)
    assert towers_run(taking).model == shown
    assert stages.tower_network(other, "rgb", 1).input["rgb"].shape[-1] == 3
    wide = dataclasses.replace(
        trained.model, network="late_fusion", modalities=("difference",), frames=2
    )
    with pytest.raises(UserError, match="trained with --frames 3, this run has 2"):
        towers_run(dataclasses.replace(taking, model=wide))
    # Towers of more streams than the run has, which need more frames than it reads.
    four = dataclasses.replace(shown, network="four_stream")
    both = dataclasses.replace(other, model=four)
    write_json(tmp_path / "config.json", both.settings())
    network = stages.tower_network(towers_run(taking), "rgb", trained.model.frames)
    assert network.input["rgb"].shape[-1] == 3


def test_end_to_end_starts_from_the_assembled_network(trained, dataset, tmp_path):
    still = PixelStageConfig(epochs=1, batch=4, rate=0.0, optimizer="sgd")
    config = small_training(
        stages=("fusion", "end_to_end"), end_to_end=still, stream_loss=0.5
    )
    run = train(dataset, tmp_path / "run", small_model(), config, trained.folder)
    work = stages.Work(run, dataset, run.manifest()[1], trained)
    assembled = assemble(work)
    network = trained_network(run)
    for ours, theirs in zip(
        network.trainable_weights, assembled.trainable_weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_an_untrained_tower_is_named(dataset, tmp_path):
    with pytest.raises(UserError, match=r"rgb tower .* is not trained.*--rgb_epochs=0"):
        train(
            dataset, tmp_path / "r", small_model(), small_training(stages=("fusion",))
        )


def test_zero_epochs_use_a_tower_as_loaded(dataset, tmp_path):
    config = small_training()
    off = {FIELDS[n]: dataclasses.replace(getattr(config, FIELDS[n]), epochs=0)
           for n in FIELDS}  # fmt: skip
    run = train(dataset, tmp_path / "run", small_model(), small_training(**off))
    assert run.network_file.exists()


def test_pairs_must_be_those_of_the_data(dataset, tmp_path):
    with pytest.raises(UserError, match="--pairs=5, but the data hold 2"):
        train(dataset, tmp_path / "run", small_model(pairs=5), small_training())
    assert not (tmp_path / "run").exists()


def test_more_segments_than_snippets_are_refused_first(dataset, tmp_path):
    with pytest.raises(UserError, match="7 snippets per video, too few for 9"):
        train(dataset, tmp_path / "run", small_model(segments=9), small_training())
    tower = dataclasses.replace(small_training().rgb, segments=9)
    with pytest.raises(UserError, match="7 snippets per video, too few for 9"):
        train(dataset, tmp_path / "run", small_model(), small_training(rgb=tower))


def test_a_fusion_on_other_towers_is_refused(trained, dataset, tmp_path):
    """Guards a network assembled of new towers and a fusion trained on old ones."""
    towers = tmp_path / "towers"
    shutil.copytree(trained.folder, towers)
    model = small_model(network="feature_fusion")
    train(dataset, tmp_path / "run", model, small_training(), towers)
    shutil.rmtree(towers)
    train(
        dataset, towers, small_model(), small_training(seed=1, stages=("rgb", "flow"))
    )
    (tmp_path / "run" / "checkpoints" / "model.json").unlink()
    with pytest.raises(UserError, match="trained on other towers"):
        train(dataset, tmp_path / "run", model, small_training(), towers)


def test_a_diverged_stage_ends_with_what_to_do(dataset, tmp_path):
    stage = dataclasses.replace(
        small_training().rgb, rate=1e30, optimizer="sgd", schedule="constant"
    )
    with pytest.raises(UserError, match=r"rgb stage's loss became .*--rgb_rate"):
        train(dataset, tmp_path / "run", small_model(),
              small_training(rgb=stage, stages=("rgb",)))  # fmt: skip


def test_a_damaged_cache_is_computed_again(trained, dataset, tmp_path):
    source = tmp_path / "towers"
    shutil.copytree(trained.folder, source)
    (cache,) = source.rglob("r.npy")
    whole = cache.read_bytes()
    cache.write_bytes(whole[:-100])
    model = small_model(network="feature_fusion")
    run = train(dataset, tmp_path / "run", model, small_training(), source)
    assert run.network_file.exists()
    assert len(cache.read_bytes()) == len(whole)


def test_mirrored_features_are_cached_and_drawn(trained, dataset, tmp_path):
    run = train(dataset, tmp_path / "run", small_model(blocks=0),
                small_training(feature_views=2), trained.folder)  # fmt: skip
    sizes = sorted(p.stat().st_size for p in trained.folder.rglob("r.npy"))
    assert run.network_file.exists()
    assert sizes[-1] / sizes[0] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ({"flow_size": 8}, {}, "needs an input of 16 pixels"),
        ({}, {"stages": ("rgb", "flow", "end_to_end")}, "fusion stage of"),
        ({}, {"flow": "tvl1"}, "the data hold the flow dis"),
    ],
)
def test_what_cannot_work_is_refused_before_training(
    dataset, tmp_path, model, settings, message
):
    with pytest.raises(UserError, match=message):
        train(dataset, tmp_path / "run", small_model(**model),
              small_training(**settings))  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_it_learns_what_the_frames_show(dataset, tmp_path):
    """The colour names the class, so a few epochs must find it."""
    stage = TowerStageConfig(
        epochs=4, batch=4, rate=1e-2, schedule="cosine", segments=2,
        partial_batchnorm=False, dropout=0.0,
    )  # fmt: skip
    run = train(
        dataset, tmp_path / "run", small_model(),
        small_training(rgb=stage, stages=("rgb",)),
    )  # fmt: skip
    history = pd.read_csv(run.folder / "history.csv")
    assert history["val_top1"].iloc[-1] == 1.0
    assert history["loss"].iloc[-1] < 0.1


def test_a_second_training_in_the_same_run_is_refused(trained, dataset):
    with (
        FileLock(trained.folder / ".lock"),
        pytest.raises(UserError, match="another process trains in"),
    ):
        train(dataset, trained.folder, trained.model, trained.training)


def test_a_training_that_diverged_costs_no_checkpoint(dataset, tmp_path, monkeypatch):
    """Guards against finite checkpoints that those of a diverged run push out."""

    add, steps = Sums.add, []

    def diverging(self, sums):
        steps.append(1)
        wrong = float("nan") if len(steps) > 2 else 1.0
        add(self, {**sums, "loss": sums["loss"] * wrong})

    monkeypatch.setattr(Sums, "add", diverging)
    with pytest.raises(UserError, match="loss became nan"):
        train(
            dataset, tmp_path / "run", small_model(network="spatial"),
            small_training(stages=("rgb",)),
            machine=MachineConfig(checkpoint_seconds=0.0),
        )  # fmt: skip
    kept = sorted(p.name for p in (tmp_path / "run/checkpoints/rgb").glob("*.keras"))
    assert kept == [f"epoch-0000-step-{step:06d}.keras" for step in (1, 2)]


def test_any_seed_is_taken(trained):
    model = stage.fitted_model(stages.fusion_network(trained), 0.0)
    stage.seed_dropout(model, 2**32 - 1, 10**6)
    assert all(0 <= n < 2**32 for s in state.dropout_states(model) for n in np.array(s))
