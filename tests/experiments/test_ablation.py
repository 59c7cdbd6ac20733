"""An ablation end to end on the small dataset: rows, resuming, the table."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import score_run
from stfn_keras.experiments import network
from stfn_keras.experiments.ablation import ablate, check_splits
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.network import Recipe
from stfn_keras.experiments.result import Result
from stfn_keras.experiments.table import as_markdown, in_words
from stfn_keras.experiments.towers import Towers
from stfn_keras.training.train import train

GRID = Grid(
    rows=(
        Row("late fusion", "baselines", {"network": "late_fusion"}),
        Row("1 block", "fusion", {"blocks": 1}),
        Row("1 block, shuffled", "order", {"blocks": 1}, shuffle=True),
        Row("1 block, left alone", "classes", {"blocks": 1}, classes=("left",)),
    ),
    reference="late fusion",
)


@pytest.fixture(scope="module")
def towers(trained):
    return Towers.open(trained)


@pytest.fixture(scope="module")
def ablation(towers, trained, tmp_path_factory):
    """The folder and table of an ablation with two seeds."""
    out = tmp_path_factory.mktemp("ablation")
    return out, run(towers, trained, out)


def run(towers, trained, out, grid=GRID, **changes):
    settings = {"seeds": 2, "say": lambda line: None, **changes}
    return ablate(grid, [towers], trained.model, trained.training, out, **settings)


def no_training(*arguments):
    raise AssertionError("something was trained")


def test_the_table_has_a_line_per_row(ablation):
    out, table = ablation
    rows = table.rows.set_index("row")
    assert list(rows.index) == [row.name for row in GRID.rows]
    assert rows["seeds"].tolist() == [1, 2, 2, 2]
    assert rows["videos"].tolist()[:3] == [5, 5, 5]
    assert rows.loc["1 block, left alone", "videos"] < 5
    assert np.isnan(rows.loc["late fusion", "p"])
    assert rows["video_top1"].between(0, 1).all()
    assert {p.name for p in out.iterdir()} == {
        "rows", "results.csv", "table.csv", "table.md", "table.png",
    }  # fmt: skip
    assert len(pd.read_csv(out / "results.csv")) == 1 + 2 + 2 + 2
    assert as_markdown(table).count("\n") == 5
    assert "5 test videos of 1 split" in in_words(table)


def test_rows_of_the_same_settings_share_a_training(ablation):
    """The poster's tables show the full network in every group: it is trained once."""
    out, _ = ablation
    assert len(list(out.glob("rows/stfn-*/split1-seed*"))) == 2


def test_a_result_keeps_no_checkpoint(ablation):
    out, _ = ablation
    (folder,) = out.glob("rows/stfn-*/split1-seed0*")
    names = {path.name for path in folder.iterdir()}
    assert names == {"result.json", "scores.npz", "shuffled.npz", "history.csv"}
    stored = json.loads((folder / "result.json").read_text())
    assert stored["settings"]["model"]["blocks"] == 1
    assert stored["metrics"]["videos"] == 5


def test_what_is_done_is_never_trained_again(ablation, towers, trained, monkeypatch):
    out, table = ablation
    monkeypatch.setattr(network, "_trained", no_training)
    again = run(towers, trained, out)
    pd.testing.assert_frame_equal(again.rows, table.rows)
    wider = Grid((Row("2 blocks", settings={"blocks": 2}),))
    with pytest.raises(AssertionError, match="something was trained"):
        run(towers, trained, out, wider)


def test_a_cut_off_or_damaged_row_is_made_again(ablation, towers, trained, tmp_path):
    out, table = ablation
    (folder,) = out.glob("rows/stfn-*/split1-seed1*")
    (folder / "scores.npz").write_bytes(b"half")
    again = run(towers, trained, out)
    columns = ["row", "video_top1", "mean_class_accuracy"]
    pd.testing.assert_frame_equal(again.rows[columns], table.rows[columns])
    assert Result.load(folder) is not None


def test_a_row_is_what_train_and_evaluate_give(towers, trained, dataset, tmp_path):
    """A row's figure can be had from train.py and evaluate.py, from pixels."""
    model = dataclasses.replace(trained.model, network="feature_fusion")
    training = dataclasses.replace(trained.training, stages=("fusion",), seed=3)
    recipe = Recipe(model, training, seed=3, views="2x1")
    ours = network.scored(recipe, towers, tmp_path / "rows").scores
    whole = train(dataset, tmp_path / "run", model, training, trained.folder)
    theirs = score_run(whole, "2x1", batch=8)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)


@pytest.mark.parametrize("kind", ["spatial", "temporal", "late_fusion"])
def test_baselines_are_the_towers_classifiers(towers, trained, dataset, tmp_path, kind):
    model = dataclasses.replace(trained.model, network=kind)
    recipe = Recipe(model, trained.training, seed=0, views="1x1")
    ours = network.scored(recipe, towers, tmp_path / "rows")
    training = dataclasses.replace(trained.training, stages=model.streams)
    whole = train(dataset, tmp_path / "run", model, training, trained.folder)
    theirs = score_run(whole, "3x1", batch=8)
    np.testing.assert_allclose(ours.scores.logits, theirs.logits, atol=1e-5)
    assert ours.shuffled.shape == (0, 5)
    np.testing.assert_array_equal(ours.right(shuffled=True), ours.right())


def test_settings_are_refused_before_anything_is_trained(
    towers, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(network, "scored", no_training)
    good = Row("good", settings={"blocks": 1})
    three = {"network": "late_fusion", "modalities": "rgb,flow,dynamic_flow"}
    for bad, message in (
        (Row("long", settings={"segments": 9}), "row 'long': .*too few for 9"),
        (Row("who", classes=("up",)), "row 'who': classes must be.*'up'"),
        (Row("odd", settings={"blocks": -1}), "row 'odd': --blocks must be 0"),
        (
            Row("three", settings=three),
            "row 'three': the towers of .* are of the streams rgb, flow. Received: a "
            "network that has dynamic_flow too",
        ),
    ):
        with pytest.raises(UserError, match=message):
            run(towers, trained, tmp_path, Grid((good, bad)))
    with pytest.raises(UserError, match="row 'good': crops, the C of --views"):
        run(towers, trained, tmp_path, Grid((good,)), views="1x3")
    assert not any(tmp_path.iterdir())


def test_a_setting_of_its_default_leaves_what_is_there(trained, towers):
    """A later version adds a field to the settings: older results stay valid."""
    recipe = Recipe(trained.model, trained.training, 0, "1x1")
    settings = recipe.settings(towers)
    older = json.loads(json.dumps(settings))
    del older["model"]["position"], older["training"]["fusion"]["ema"]
    assert network._same(older, settings)
    older["training"]["stages"] = ["rgb", "flow", "fusion"]  # the default then
    assert network._same(older, settings)
    older["model"]["blocks"] += 1
    assert not network._same(older, settings)
    changed = dataclasses.replace(trained.model, position=True)
    assert Recipe(changed, trained.training, 0, "1x1").place(towers) != recipe.place(
        towers
    )


def test_towers_must_be_of_different_splits(towers):
    with pytest.raises(UserError, match="a run for each split. Received splits: 1, 1"):
        check_splits([towers, towers])
