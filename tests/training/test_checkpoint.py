"""Checkpoints: damaged ones are refused, the best is never overwritten."""

import keras
import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.training.checkpoint import (
    Position,
    StageCheckpoints,
    load_weights,
    save_model,
)
from stfn_keras.training.state import read_state


def make_model(units=3):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(units)]
    )


def make_optimizer(model):
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    return optimizer


def fill(model, value):
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, value))
    return model


def save(kept, value, position, score=None, sums=None):
    model = fill(make_model(), value)
    if isinstance(position, int):
        position = Position(position)
    kept.save(model, make_optimizer(model), position, sums, score)


def restore(kept):
    """The position, and the weights that were loaded."""
    model = make_model()
    position, _ = kept.restore(model, make_optimizer(model))
    return position, model.get_weights()[0]


def result(kept):
    model = make_model()
    load_weights(model, *kept.result())
    return model.get_weights()[0]


def test_optimiser_dropout_and_sums_come_back_too(tmp_path):
    model = make_model()
    optimizer = make_optimizer(model)
    for step in range(2):
        gradients = [np.full(v.shape, step + 1.0) for v in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
        model(np.ones((2, 4)), training=True)
    sums = {"videos": np.float64(6.0), "confusion": np.eye(3)}
    kept = StageCheckpoints(tmp_path)
    kept.save(model, optimizer, Position(1, 2), sums)

    again = make_model()
    other = make_optimizer(again)
    position, found = StageCheckpoints.open(tmp_path).restore(again, other)
    assert position == Position(1, 2)
    assert int(other.iterations) == 2
    for ours, theirs in zip(
        [*model.variables, *optimizer.variables],
        [*again.variables, *other.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found["confusion"], np.eye(3))
    np.testing.assert_array_equal(
        model(np.ones((2, 4)), training=True), again(np.ones((2, 4)), training=True)
    )


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_refused(tmp_path, place):
    path = tmp_path / "a.keras"
    digest = save_model(make_model(), path)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        load_weights(make_model(), path, digest)


def test_another_network_is_refused(tmp_path):
    digest = save_model(make_model(3), tmp_path / "a.keras")
    with pytest.raises(UserError, match="does not fit"):
        load_weights(make_model(5), tmp_path / "a.keras", digest)


def test_the_one_before_is_used_when_the_last_is_damaged(tmp_path):
    kept = StageCheckpoints(tmp_path)
    for value, position in enumerate((Position(1), Position(1, 7), Position(2)), 1):
        save(kept, value, position)
    assert sorted(p.name for p in tmp_path.glob("*.keras")) == [
        "epoch-0001-step-000007.keras", "epoch-0002.keras",
    ]  # fmt: skip
    (tmp_path / "epoch-0002.keras").write_bytes(b"cut")
    position, weights = restore(StageCheckpoints.open(tmp_path))
    assert position == Position(1, 7)
    assert (weights == 2).all()
    (tmp_path / "epoch-0001-step-000007.keras").unlink()
    with pytest.raises(UserError, match="every checkpoint"):
        restore(StageCheckpoints.open(tmp_path))


def test_the_best_is_kept_and_never_overwritten_by_a_worse_one(tmp_path):
    kept = StageCheckpoints(tmp_path)
    for epoch, score in ((1, 0.4), (2, 0.9), (3, 0.5), (4, 0.9), (5, 0.1)):
        save(kept, epoch, epoch, score)
        kept = StageCheckpoints.open(tmp_path)
    kept.finish()
    assert (result(StageCheckpoints.open(tmp_path)) == 2).all()
    assert {p.name for p in tmp_path.glob("*.keras")} == {
        "epoch-0002.keras", "epoch-0004.keras", "epoch-0005.keras",
    }  # fmt: skip


def test_a_damaged_best_checkpoint_is_trained_again(tmp_path):
    """Guards a stage that could never end: the new file had the old one's digest."""
    kept = StageCheckpoints(tmp_path)
    save(kept, 1, 1, 0.5)
    save(kept, 2, 2, 0.9)
    (tmp_path / "epoch-0002.keras").write_bytes(b"cut")
    kept = StageCheckpoints.open(tmp_path)
    assert restore(kept)[0] == Position(1)
    save(kept, 3, 2, 0.9)
    kept.finish()
    assert (result(StageCheckpoints.open(tmp_path)) == 3).all()
    assert (tmp_path / "epoch-0001.keras").exists()


def test_an_unfinished_stage_has_no_result(tmp_path):
    kept = StageCheckpoints(tmp_path)
    save(kept, 1, 1)
    with pytest.raises(UserError, match="not finished"):
        kept.result()


@pytest.mark.parametrize(
    "state",
    [
        '{"kept": 3}',
        '{"kept": [{"epoch": 1}]}',
        '{"unknown": 1}',
        '{"kept": [{"epoch": 1, "file": "../../a.keras", "sha256": ""}]}',
    ],
)
def test_a_foreign_state_is_refused(tmp_path, state):
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(UserError, match="damaged or not made by train.py"):
        StageCheckpoints.open(tmp_path)


def test_a_checkpoint_without_a_training_state_is_refused(tmp_path):
    """A run of an older version that was killed; its finished stages are read."""
    save_model(make_model(), tmp_path / "a.keras")
    with pytest.raises(UserError, match="no state of a training"):
        read_state(tmp_path / "a.keras")


def test_what_cannot_be_written_costs_no_checkpoint(tmp_path, monkeypatch):
    kept = StageCheckpoints(tmp_path)
    save(kept, 1, 1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stfn_keras.training.checkpoint.write_state", full)
    with pytest.raises(UserError, match="No space left on device"):
        save(kept, 2, 2)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.glob("*.keras")] == ["epoch-0001.keras"]
    assert restore(StageCheckpoints.open(tmp_path))[0] == Position(1)


def test_a_whole_best_checkpoint_is_gone_back_to(tmp_path):
    kept = StageCheckpoints(tmp_path)
    for epoch, score in ((1, 0.9), (2, 0.5), (3, 0.4)):
        save(kept, epoch, epoch, score)
    for name in ("epoch-0002.keras", "epoch-0003.keras"):
        (tmp_path / name).write_bytes(b"cut")
    position, weights = restore(StageCheckpoints.open(tmp_path))
    assert position == Position(1)
    assert (weights == 1).all()
