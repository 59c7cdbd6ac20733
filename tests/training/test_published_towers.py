"""A published run whose towers are another run's says how those were trained."""

import dataclasses

import pytest

from stfn_keras.config import TowerStageConfig
from stfn_keras.errors import UserError
from stfn_keras.training import publishing


def test_the_recipe_is_that_of_the_towers(trained, tmp_path):
    training = dataclasses.replace(trained.training, rgb=TowerStageConfig(epochs=7))
    run = dataclasses.replace(
        trained, folder=tmp_path, training=training, towers_from=trained.folder
    )
    shown = publishing._with_its_towers(run)
    assert shown.training.rgb == trained.training.rgb
    assert shown.training.fusion == training.fusion


def test_towers_of_a_run_that_is_gone_are_refused(trained, tmp_path):
    run = dataclasses.replace(trained, towers_from=tmp_path / "gone")
    with pytest.raises(UserError, match="put that run back"):
        publishing._with_its_towers(run)
