"""The range test finds a known rate, stops at an explosion and leaves runs alone."""

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import small_model, small_training
from forked import run

from stfn_keras.config import MachineConfig, StageConfig
from stfn_keras.data.share import WHOLE
from stfn_keras.errors import UserError
from stfn_keras.training import rate_finder
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.rate_curve import judged, write
from stfn_keras.training.rate_finder import find_rate, range_test
from stfn_keras.training.stage import Stage


def curve(noise=0.0, explodes=True):
    """A loss that falls fastest at 1e-3, is lowest at 0.03 and explodes from 0.1."""
    rates = np.logspace(-6, 0, 120)
    losses = 2.0 - 1.5 / (1.0 + (1e-3 / rates) ** 1.5)
    if explodes:
        losses += (rates / 0.15) ** 3
    return rates, losses + noise * np.random.default_rng(0).normal(size=120)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_the_suggestion_is_where_the_loss_falls_fastest(noise):
    found = judged(*curve(noise), diverged=True)
    assert 4e-4 < found.suggested < 2.5e-3
    assert 0.005 < found.lowest < 0.1


def test_an_explosion_does_not_move_the_suggestion():
    calm, wild = (judged(*curve(explodes=e), diverged=e) for e in (False, True))
    assert wild.suggested == calm.suggested


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_suggests_nothing(seed):
    losses = 2.0 + 0.3 * np.random.default_rng(seed).normal(size=100)
    found = judged(np.logspace(-6, 0, 100), losses, diverged=False)
    assert found.suggested is None
    assert "no suggestion" in found.explained("rgb")


def test_a_loss_that_only_grows_suggests_nothing():
    rates = np.logspace(-6, 0, 50)
    assert judged(rates, 1.0 + rates, diverged=False).suggested is None


def test_the_explanation_names_the_flag_and_a_range_that_was_too_short():
    found = judged(*curve(), diverged=True)
    assert "rgb: --rgb_rate=" in found.explained("rgb")
    assert "fusion: --fusion_rate=" in found.explained("fusion")
    # A stream that has no flags of its own has those of its pixels.
    assert "dynamic_rgb: --rgb_rate=" in found.explained("dynamic_rgb")
    rates, losses = curve(explodes=False)
    short = judged(rates[:85], losses[:85], diverged=False)
    assert "still fell at --high" in short.explained("rgb")


ENGINE = make_engine(MachineConfig())


def regression(optimizer="sgd", **changes):
    """A linear classifier of separable points, its stage and its batches."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    logits = keras.layers.Dense(2, name="logits")(inputs)
    model = keras.Model(inputs, {"logits": logits})
    config = StageConfig(optimizer=optimizer, batch=8, **changes)
    draws = np.random.default_rng(0)
    label = draws.integers(0, 2, 64)
    points = draws.normal(size=(64, 4)).astype("float32") + 2.0 * label[:, None]
    asked = []

    def batches(epoch, start, share):
        asked.append(epoch)
        targets = {"logits": tf.one_hot(label, 2)}
        data = tf.data.Dataset.from_tensor_slices((points, targets))
        return data.shuffle(64, seed=epoch).batch(8)

    return model, Stage("rgb", config, None, ("left", "right")), batches, asked


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_each_step_takes_its_rate_with_the_stages_own_optimizer(optimizer, monkeypatch):
    model, stage, batches, asked = regression(optimizer, schedule="cosine", warmup=2.0)
    made, prepared = [], rate_finder.prepared

    def noted(*arguments):
        made.append(prepared(*arguments))
        return made[-1]

    monkeypatch.setattr(rate_finder, "prepared", noted)
    found = range_test(model, stage, batches, ENGINE, 1e-5, 1e-1, steps=21)
    assert len(found.losses) == 21
    np.testing.assert_allclose(found.rates, np.logspace(-5, -1, 21), rtol=1e-6)
    assert asked == [0, 1, 2]  # epoch after epoch, as long as there are steps
    used = made[0].optimizer
    assert type(used).__name__.lower() == f"stage{optimizer}"
    assert int(used.iterations) == 21
    used.iterations.assign(20)  # the last step's
    assert float(used.learning_rate) == pytest.approx(0.1, rel=1e-4)


def test_losses_are_of_single_batches_and_not_running_means():
    model, stage, batches, _ = regression(rate=0.0)
    found = range_test(model, stage, batches, ENGINE, 1e-12, 1e-11, steps=10)
    truth = []
    for inputs, targets in [*batches(0, 0, WHOLE), *batches(1, 0, WHOLE)][:10]:
        logits = model(inputs)["logits"]
        truth.append(float(keras.ops.mean(keras.losses.categorical_crossentropy(
            targets["logits"], logits, from_logits=True))))  # fmt: skip
    np.testing.assert_allclose(found.losses, truth, rtol=1e-4)


def test_it_stops_where_the_loss_explodes():
    model, stage, batches, _ = regression()
    found = range_test(model, stage, batches, ENGINE, 1e-3, 1e6, steps=60)
    assert found.diverged
    assert len(found.losses) < 60
    assert np.isfinite(found.losses).all()
    assert found.suggested < 10.0


@pytest.mark.parametrize(
    "wrong", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"steps": 2}]
)
def test_a_range_that_is_none_is_refused(wrong):
    model, stage, batches, _ = regression()
    with pytest.raises(UserError, match="0 < --low < --high and --steps of 10"):
        range_test(model, stage, batches, ENGINE, **wrong)


def test_a_loss_that_is_never_finite_is_an_error():
    model, stage, batches, _ = regression()
    model.get_layer("logits").kernel.assign(np.full((4, 2), np.nan))
    with pytest.raises(UserError, match="not finite at 1e-06"):
        range_test(model, stage, batches, ENGINE)


def test_table_and_picture(tmp_path):
    found = judged(*curve(0.1), diverged=True)
    table, picture = write(found, "flow", tmp_path)
    assert table.name == "rate_finder-flow.csv"
    rows = pd.read_csv(table)
    assert rows.columns.tolist() == ["step", "rate", "loss", "smoothed"]
    np.testing.assert_allclose(rows["loss"], found.losses, rtol=1e-4)
    assert cv2.imread(str(picture)).std() > 10


def contents(folder):
    return {
        p.relative_to(folder): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def test_a_stream_of_any_kind_has_its_test(dataset, tmp_path):
    model = small_model(network="late_fusion", modalities=("rgb", "dynamic_flow"))
    found = find_rate(
        dataset, tmp_path, model, small_training(), "dynamic_flow", 1e-5, 1e-2, steps=10
    )
    assert len(found.losses) == 10


@pytest.mark.parametrize("stage", ["rgb", "flow"])
def test_a_towers_test_writes_its_two_files_alone(dataset, tmp_path, stage):
    out = tmp_path / "out"
    training = small_training()
    found = find_rate(
        dataset, out, small_model(), training, stage, 1e-5, 1e-2, steps=10
    )
    assert len(found.losses) == 10
    names = {p.name for p in out.iterdir()}
    assert names == {f"rate_finder-{stage}.csv", f"rate_finder-{stage}.png"}
    again = find_rate(
        dataset, out, small_model(), training, stage, 1e-5, 1e-2, steps=10
    )
    np.testing.assert_allclose(found.losses, again.losses, rtol=1e-3)


def test_the_fusions_test_leaves_the_towers_run_alone(trained, dataset, tmp_path):
    before = contents(trained.folder)
    found = find_rate(
        dataset, tmp_path, small_model(), small_training(), "fusion", 1e-5, 1e-2,
        steps=10, towers_from=trained.folder,
    )  # fmt: skip
    assert len(found.losses) == 10
    assert contents(trained.folder) == before
    assert {p.suffix for p in tmp_path.iterdir()} == {".csv", ".png"}


def test_out_may_be_a_run_and_stays_one(trained, dataset, tmp_path):
    before = contents(trained.folder)
    find_rate(
        dataset, trained.folder, small_model(), small_training(), "rgb", 1e-5, 1e-2,
        steps=10,
    )  # fmt: skip
    after = contents(trained.folder)
    for name in ("rate_finder-rgb.csv", "rate_finder-rgb.png"):
        (trained.folder / name).unlink()
        del after[type(trained.folder)(name)]
    assert after == before


def test_a_stage_that_is_not_there_is_named(dataset, tmp_path):
    with pytest.raises(UserError, match="has the stages flow. Received: --stage=rgb"):
        find_rate(dataset, tmp_path / "a", small_model(network="temporal"),
                  small_training(), "rgb")  # fmt: skip
    with pytest.raises(UserError, match="give --towers_from RUN"):
        find_rate(dataset, tmp_path / "a", small_model(), small_training(), "fusion")
    assert not (tmp_path / "a").exists()


def test_weights_to_start_from_are_checked_first(dataset, tmp_path):
    with pytest.raises(UserError, match="gone"):
        find_rate(dataset, tmp_path / "a", small_model(), small_training(), "rgb",
                  init_from=tmp_path / "gone")  # fmt: skip
    assert not (tmp_path / "a").exists()


def test_the_command_reads_trains_flags_and_says_where_the_curve_is(dataset, tmp_path):
    flags = ["--tower=tiny", "--rgb_size=16", "--pairs=2", "--network=spatial",
             "--rgb_weights=none", "--rgb_batch=4", "--rgb_segments=2"]  # fmt: skip
    found = run(
        "-m", "stfn_keras.commands.find_rate", f"--data={dataset}",
        f"--out={tmp_path}", "--stage=rgb", "--low=1e-5", "--high=1e-4", "--steps=10",
        *flags,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    first, second = found.stdout.splitlines()
    assert first.startswith("rgb: ")
    picture = tmp_path / "rate_finder-rgb.png"
    assert second == f"curve: {picture}, and .csv beside it"
    assert picture.exists()
