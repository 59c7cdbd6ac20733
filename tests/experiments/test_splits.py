"""Several splits and seeds: towers once per split, the summary, resuming."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import small_model, small_training

from stfn_keras.config.experiment import RepeatConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.experiments import splits
from stfn_keras.experiments.splits import as_markdown, summed_up, train_splits
from stfn_keras.training.train import train

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def two_splits(dataset, tmp_path_factory):
    """The small dataset with a second split: its validation videos become the test."""
    folder = tmp_path_factory.mktemp("two")
    for path in dataset.iterdir():
        (folder / path.name).symlink_to(path)
    manifest = Manifest.load(dataset)
    second = {"r": "r", "e": "u", "v": "e"}
    shards = tuple(
        dataclasses.replace(shard, roles=shard.roles + second[shard.roles])
        for shard in manifest.shards
    )
    (folder / "manifest.json").unlink()
    dataclasses.replace(manifest, shards=shards).save(folder)
    return folder


@pytest.fixture
def one(two_splits):
    trained = []

    def train_one(out, training, towers):
        trained.append((out.name, towers and towers.name))
        return train(two_splits, out, small_model(blocks=0), training, towers)

    train_one.trained = trained
    return train_one


@pytest.mark.slow
def test_every_split_and_seed_is_a_run(one, two_splits, tmp_path, monkeypatch):
    training = small_training()
    shorter = {
        name: dataclasses.replace(getattr(training, name), epochs=1)
        for name in ("rgb", "flow_stage", "fusion")
    }
    arguments = (two_splits, tmp_path, small_model(blocks=0),
                 small_training(**shorter), RepeatConfig((1, 2), seeds=2))  # fmt: skip
    summary = train_splits(one, *arguments)
    assert one.trained == [
        ("split1-seed0", None), ("split1-seed1", "split1-seed0"),
        ("split2-seed0", None), ("split2-seed1", "split2-seed0"),
    ]  # fmt: skip
    assert summary["split"].tolist() == [1, 2, "mean"]
    assert summary["videos"].tolist() == [5, 4, 9]
    runs = pd.read_csv(tmp_path / "runs.csv")
    for line in runs.to_dict("records"):
        folder = tmp_path / f"split{line['split']}-seed{line['seed']}"
        metrics = json.loads((folder / "report" / "metrics.json").read_text())
        assert metrics["split"] == str(line["split"])
        assert metrics["video_top1"] == pytest.approx(line["video_top1"])
    assert not (tmp_path / "split2-seed1" / "checkpoints" / "rgb").exists()

    def again(*arguments, **named):
        raise AssertionError("a run was evaluated again")

    monkeypatch.setattr(splits, "evaluate", again)
    pd.testing.assert_frame_equal(train_splits(one, *arguments), summary)
    assert (tmp_path / "summary.csv").exists()


def test_the_mean_is_over_splits_and_its_spread_over_seeds():
    runs = pd.DataFrame(
        [(1, 0, 10, 0.5), (1, 1, 10, 0.7), (2, 0, 20, 0.6), (2, 1, 20, 0.8)],
        columns=["split", "seed", "videos", "video_top1"],
    )
    runs["mean_class_accuracy"] = runs["video_top1"]
    found = summed_up(runs).set_index("split")
    assert found["video_top1"].tolist() == pytest.approx([0.6, 0.7, 0.65])
    spread = np.std([0.55, 0.75], ddof=1)  # of the seeds' means over the splits
    assert found.loc["mean", "video_top1_std"] == pytest.approx(spread)
    assert found["videos"].tolist() == [10, 20, 30]
    assert "| mean | 30 | 65.0 +- 14.1 | 65.0 +- 14.1 |" in as_markdown(summed_up(runs))


def test_a_missing_split_is_refused_before_the_first_is_trained(
    one, two_splits, tmp_path
):
    with pytest.raises(UserError, match="1 to 2, with test videos. Received: 3"):
        train_splits(one, two_splits, tmp_path, small_model(), small_training(),
                     RepeatConfig((1, 3)))  # fmt: skip
    assert not one.trained


def test_views_are_refused_before_anything_is_trained(one, two_splits, tmp_path):
    with pytest.raises(UserError, match="enough for 2 samplings of 3 segments"):
        train_splits(one, two_splits, tmp_path, small_model(), small_training(),
                     RepeatConfig((1, 2), views="3x1"))  # fmt: skip
    assert not one.trained


def test_tables_are_written_after_each_run(two_splits, tmp_path, monkeypatch):
    metrics = {"videos": 5, "video_top1": 0.5, "mean_class_accuracy": 0.5}
    monkeypatch.setattr(splits, "_evaluated", lambda *_: metrics)

    def stopped_in_the_second(out, training, towers):
        if training.split == 2:
            raise KeyboardInterrupt
        return SimpleNamespace(network_file=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        train_splits(stopped_in_the_second, two_splits, tmp_path, small_model(),
                     small_training(), RepeatConfig((1, 2)))  # fmt: skip
    assert pd.read_csv(tmp_path / "runs.csv")["split"].tolist() == [1]
    assert pd.read_csv(tmp_path / "summary.csv")["split"].tolist() == [1]


def test_a_seed_that_a_split_lacks_is_left_out_of_the_mean():
    runs = pd.DataFrame(
        [(1, 0, 10, 0.5), (1, 1, 10, 0.9), (2, 0, 20, 0.7)],
        columns=["split", "seed", "videos", "video_top1"],
    )
    runs["mean_class_accuracy"] = runs["video_top1"]
    assert summed_up(runs)["video_top1"].tolist() == pytest.approx([0.7, 0.7, 0.6])


@pytest.mark.parametrize(("kind", "views"), [("late_fusion", "6x1"), ("stfn", "2x1")])
def test_networks_of_snippets_see_as_many(tmp_path, monkeypatch, kind, views):
    monkeypatch.setattr(splits, "evaluate", lambda run, views, data: views)
    run = SimpleNamespace(folder=tmp_path, model=small_model(network=kind))
    assert splits._evaluated(run, "2x1", tmp_path) == views


def test_a_run_is_no_folder_of_runs(one, trained, two_splits):
    with pytest.raises(UserError, match="Received a run"):
        train_splits(one, two_splits, trained.folder, small_model(), small_training(),
                     RepeatConfig((1,)))  # fmt: skip


def test_seeds_that_decide_nothing_are_not_repeated():
    repeated = RepeatConfig((1,), seeds=3)
    late = small_model(network="late_fusion")
    assert len(splits._seeds(small_model(), small_training(), repeated)) == 3
    assert len(splits._seeds(late, small_training(), repeated)) == 1
    towers = small_training(stages=("rgb", "flow"), seed=5)
    assert splits._seeds(small_model(), towers, repeated) == range(5, 6)


@pytest.mark.parametrize("values", [{"splits": (0,)}, {"splits": (1, 1)}, {"seeds": 0}])
def test_splits_and_seeds_that_cannot_be(values):
    with pytest.raises(UserError):
        RepeatConfig(**values)
