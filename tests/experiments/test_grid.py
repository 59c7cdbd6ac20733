"""Grids in YAML: what is read, and what is refused with the row's name."""

from pathlib import Path

import pytest

from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.errors import UserError
from stfn_keras.experiments.grid import Grid, Row, read_grid
from stfn_keras.experiments.settings import changed, is_of_towers

RECIPES = Path(__file__).parents[2] / "recipes"


def grid_of(tmp_path, text):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return read_grid(path)


def test_a_grid_is_read(tmp_path):
    grid = grid_of(
        tmp_path,
        """
        reference: a
        base: {segments: 5}
        rows:
          - {name: a, group: g, set: {fusion_rate: 1e-3}}
          - {name: b, shuffle: true, classes: [x, 7], against: a}
        """,
    )
    assert grid == Grid(
        (
            Row("a", "g", {"fusion_rate": "1e-3"}),
            Row("b", "", {}, True, ("x", "7"), "a"),
        ),
        {"segments": 5},
        "a",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: []", "must have a rows"),
        ("- name: a", "must be a mapping of base, reference, rows"),
        ("rows: [{name: a}]\nbse: {}", "may hold base, reference, rows. .*'bse'"),
        ("rows: [{group: g}]", "row 1 must have a name"),
        ("rows: [{name: a}, 7]", "row 2 must be a mapping of name"),
        ("rows: [{name: a, sets: {}}]", "row 'a' may hold .* Received: 'sets'"),
        ("rows: [{name: a, set: [1]}]", "row 'a': set must be of type dict"),
        ("rows: [{name: a, shuffle: 1}]", "row 'a': shuffle must be of type bool"),
        ("rows: [{name: a, set: {block: 1}}]", "row 'a': .*'block'. Did you mean bl"),
        ("rows: [{name: a, set: {tower: tiny}}]", "row 'a' sets tower, which the tow"),
        ("rows: [{name: a, set: {rgb_rate: 1}}]", "row 'a' sets rgb_rate"),
        ("base: {seed: 1}\nrows: [{name: a}]", "base sets seed"),
        ("rows: [{name: a}, {name: a}]", "distinct names. Received twice: 'a'"),
        ("rows: [{name: a}]\nreference: b", "reference must be .* Received: 'b'"),
        ("rows: [{name: a, against: b}]", "row 'a': against must be .* Received: 'b'"),
        ("rows: [", "expected a grid in YAML"),
        ("rows: !!python/object:os.system {}", "expected a grid in YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        grid_of(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="expected a grid in YAML: .*none.yaml"):
        read_grid(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.name)
def test_the_recipes_are_grids_whose_settings_are_accepted(path):
    grid = read_grid(path)
    start = changed(ModelConfig(), TrainingConfig(), grid.base, "base")
    for row in grid.rows:
        changed(*start, row.settings, row.name)


def test_settings_are_read_as_their_flags():
    model, training = changed(
        ModelConfig(),
        TrainingConfig(),
        {"blocks": 1, "fusion_rate": "1e-3", "fusion_milestones": [3, 5], "width": "8",
         "flow_weight": 2, "zero_init": True, "rgb_scales": "1,0.5",
         "flow_epochs": 3, "flow": "dis"},
        "here",
    )  # fmt: skip
    assert (model.blocks, model.width, model.zero_init) == (1, 8, True)
    assert model.flow_weight == 2.0 and isinstance(model.flow_weight, float)
    assert training.fusion.rate == 1e-3
    assert training.fusion.milestones == (3, 5)
    assert training.rgb.scales == (1.0, 0.5)
    assert training.flow_stage.epochs == 3
    assert training.flow == "dis"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blocks": 1.5}, "here: blocks must be of type int. Received: 1.5"),
        ({"blocks": True}, "blocks must be of type int. Received: True"),
        ({"zero_init": 1}, "zero_init must be of type bool"),
        ({"fusion_rate": "fast"}, "fusion_rate must be of type float"),
        ({"fusion": "sum"}, "here: --fusion must be one of average"),
        ({"fusion_epochs": -1}, "here: a stage's epochs must be 0 or more"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        changed(ModelConfig(), TrainingConfig(), values, "here")


def test_what_the_towers_settle():
    flags = ("tower", "rgb_epochs", "end_to_end_rate", "split", "blocks", "fusion_rate")
    settled = {flag for flag in flags if is_of_towers(flag)}
    assert settled == {"tower", "rgb_epochs", "end_to_end_rate", "split"}
