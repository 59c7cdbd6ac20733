"""Checkpoints: damaged ones are refused, the best is never overwritten."""

import keras
import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.training.checkpoint import StageCheckpoints, load_weights, save_model


def make_model(units=3):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def fill(model, value):
    model.set_weights([np.full_like(w, value) for w in model.get_weights()])
    return model


def test_the_optimiser_comes_back_too(tmp_path):
    model = make_model()
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(8, 4)), draws.normal(size=(8, 3))
    model.fit(x, y, epochs=2, verbose=0)
    digest = save_model(model, tmp_path / "a.keras")
    again = make_model()
    load_weights(again, tmp_path / "a.keras", digest)
    for ours, theirs in zip(
        model.optimizer.variables, again.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert int(again.optimizer.iterations) == 2
    model.fit(x, y, verbose=0, shuffle=False)
    again.fit(x, y, verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])


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
    for epoch in (1, 2, 3):
        kept.save(fill(make_model(), epoch), epoch, None)
    assert sorted(p.name for p in tmp_path.glob("*.keras")) == [
        "epoch-0002.keras", "epoch-0003.keras",
    ]  # fmt: skip
    (tmp_path / "epoch-0003.keras").write_bytes(b"cut")
    model = make_model()
    assert StageCheckpoints.open(tmp_path).restore(model) == 2
    assert (model.get_weights()[0] == 2).all()
    (tmp_path / "epoch-0002.keras").unlink()
    with pytest.raises(UserError, match="every checkpoint"):
        StageCheckpoints.open(tmp_path).restore(model)


def test_the_best_is_kept_and_never_overwritten_by_a_worse_one(tmp_path):
    kept = StageCheckpoints(tmp_path)
    for epoch, score in ((1, 0.4), (2, 0.9), (3, 0.5), (4, 0.9), (5, 0.1)):
        kept.save(fill(make_model(), epoch), epoch, score)
        kept = StageCheckpoints.open(tmp_path)
    kept.finish()
    path, digest = StageCheckpoints.open(tmp_path).result()
    model = make_model()
    load_weights(model, path, digest)
    assert (model.get_weights()[0] == 2).all()
    assert {p.name for p in tmp_path.glob("*.keras")} == {
        "epoch-0002.keras", "epoch-0004.keras", "epoch-0005.keras",
    }  # fmt: skip


def test_a_damaged_best_checkpoint_is_trained_again(tmp_path):
    """Guards a stage that could never end: the new file had the old one's digest."""
    kept = StageCheckpoints(tmp_path)
    kept.save(fill(make_model(), 1), 1, 0.5)
    kept.save(fill(make_model(), 2), 2, 0.9)
    (tmp_path / "epoch-0002.keras").write_bytes(b"cut")
    kept = StageCheckpoints.open(tmp_path)
    assert kept.restore(make_model()) == 1
    kept.save(fill(make_model(), 3), 2, 0.9)
    kept.finish()
    model = make_model()
    load_weights(model, *StageCheckpoints.open(tmp_path).result())
    assert (model.get_weights()[0] == 3).all()
    assert (tmp_path / "epoch-0001.keras").exists()


def test_an_unfinished_stage_has_no_result(tmp_path):
    kept = StageCheckpoints(tmp_path)
    kept.save(make_model(), 1, None)
    with pytest.raises(UserError, match="not finished"):
        kept.result()
