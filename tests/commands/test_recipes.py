"""Every recipe is a flag file that train.py takes, and its head says how it is used."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from stfn_keras import models
from stfn_keras.config import FLOW_STAGE, RGB_STAGE, ModelConfig, TrainingConfig
from stfn_keras.experiments.settings import changed
from stfn_keras.experiments.views import check_views

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.flags"))
PAPER = [r for r in RECIPES if r.stem.split("-")[-1] in ("resnet101", "inception_v3")]


def read(recipe):
    """The settings of a recipe."""
    values = {}
    for line in recipe.read_text().splitlines():
        if line and not line.startswith("#"):
            assert line.startswith("--"), line
            name, given, value = line.removeprefix("--").partition("=")
            if not given:
                value = not name.startswith("no")
                name = name if value else name.removeprefix("no")
            assert name not in values, f"{name} stands twice"
            values[name] = value
    return changed(ModelConfig(), TrainingConfig(), values, recipe.name)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_taken_and_headed_by_its_command(recipe):
    model, training = read(recipe)
    for stream in model.streams:
        assert models.input_size(model, stream) >= models.TOWERS[model.tower].minimum
    assert {*model.streams, *model.stages} <= set(training.stages)
    head = recipe.read_text().split("\n--")[0]
    assert "python train.py --data" in head
    assert f"--flagfile recipes/{recipe.name}" in head
    if views := re.search(r"--splits.*?--views (\S+)", head, re.DOTALL):
        check_views(model, views[1], SimpleNamespace(snippets=25, flip=True))
    assert ("Not run here" in head) == (recipe.stem.split("-")[0] != "demo" and
                                        "lite0" not in recipe.stem)  # fmt: skip


@pytest.mark.parametrize("recipe", PAPER, ids=lambda path: path.stem)
def test_the_papers_recipes_are_tsn_and_the_posters_best_network(recipe):
    model, training = read(recipe)
    assert len(PAPER) == 4
    assert (training.rgb, training.flow_stage) == (RGB_STAGE, FLOW_STAGE)
    assert (model.segments, model.blocks, model.direction, model.fusion) == (
        7, 2, "bi", "average"
    )  # fmt: skip
    assert model == ModelConfig(
        tower=model.tower, rgb_size=model.rgb_size, flow_size=model.flow_size
    )
