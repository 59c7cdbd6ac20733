"""`--init_from` through whole runs: what is taken, and what may not change."""

import dataclasses

import numpy as np
import pytest
from conftest import small_model, small_training

from stfn_keras.config import StageConfig
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.training.train import train


def without_epochs(**changes):
    """Stages that train nothing, so that a run ends with what it starts from."""
    training = small_training(**changes)
    return dataclasses.replace(
        training,
        rgb=dataclasses.replace(training.rgb, epochs=0),
        flow_stage=dataclasses.replace(training.flow_stage, epochs=0),
        fusion=StageConfig(epochs=0),
    )


def test_a_run_starts_from_the_weights_of_another(dataset, trained, tmp_path):
    run = train(
        dataset, tmp_path / "run", small_model(), without_epochs(),
        init_from=trained.folder,
    )  # fmt: skip
    for a, b in zip(
        trained_network(run).get_weights(),
        trained_network(trained).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert {path.stem for path in run.folder.glob("init_from/*.csv")} == {
        "rgb", "flow", "fusion"
    }  # fmt: skip
    with pytest.raises(UserError, match="init_from"):
        train(dataset, run.folder, small_model(), without_epochs())


def test_reset_heads_are_new_and_all_else_is_taken(dataset, trained, tmp_path):
    run = train(
        dataset, tmp_path / "run", small_model(), without_epochs(reset_head=True),
        init_from=trained.folder,
    )  # fmt: skip
    ours, theirs = trained_network(run), trained_network(trained)
    for layer in ours.layers:
        same = [
            np.array_equal(a, b)
            for a, b in zip(
                layer.get_weights(),
                theirs.get_layer(layer.name).get_weights(),
                strict=True,
            )
        ]
        if layer.name in ("rgb_logits", "flow_logits"):
            assert not same[0]
        else:
            assert all(same)


def test_a_new_head_needs_a_run_to_start_from(dataset, tmp_path):
    with pytest.raises(UserError, match="--reset_head .*--init_from"):
        train(dataset, tmp_path / "run", small_model(), without_epochs(reset_head=True))
    assert not (tmp_path / "run").exists()
