"""The control of the res-inception: its size, and no view of time."""

import keras
import numpy as np
import pytest

from stfn_keras.models import TemporalMLP, TemporalResInception

BN = 1 / np.sqrt(1 + 1e-3)  # a new batch normalisation at inference
X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


@pytest.mark.parametrize(
    ("channels", "width"),
    [(2048, 0), (1280, 0), (768, 0), (128, 0), (64, 0), (2048, 64), (1280, 128)],
)
def test_as_many_parameters_as_the_res_inception(channels, width):
    counts = []
    for module in (TemporalMLP, TemporalResInception):
        layer = module(width)
        layer.build((None, 7, channels))
        counts.append(layer.count_params())
    assert counts[0] == pytest.approx(counts[1], rel=0.01)


def test_segments_do_not_see_each_other():
    layer = TemporalMLP()
    order = [3, 0, 4, 1, 2]
    np.testing.assert_array_equal(layer(X[:, order]), np.array(layer(X))[:, order])
    other = X.copy()
    other[:, 2] += 1
    changed = np.any(np.array(layer(other)) != np.array(layer(X)), axis=(0, 2))
    np.testing.assert_array_equal(changed, [False, False, True, False, False])


def test_all_ones_kernels():
    """One video of one segment with 4 channels of 2: sums of 8, hidden times 8."""
    layer = TemporalMLP()
    layer.build((None, 1, 4))
    for dense in layer.denses:
        dense.kernel.assign(np.ones(dense.kernel.shape))
    hidden = layer.denses[0].kernel.shape[1]
    received = layer(np.full((1, 1, 4), 2, "float32"))
    np.testing.assert_allclose(received, 2 + hidden * 8 * BN * BN, rtol=1e-5)


def test_shortcut_of_its_own():
    layer = TemporalMLP()
    branch = np.array(layer(X)) - X
    np.testing.assert_allclose(layer([X, X + 10]) - X - 10, branch, atol=1e-5)


@pytest.mark.parametrize("own", [False, True])
def test_save_and_load(tmp_path, own):
    inputs = [keras.Input((5, 8)), keras.Input((5, 8))]
    layer = TemporalMLP(width=1, zero_init=True)
    model = keras.Model(inputs, layer(inputs if own else inputs[0]))
    layer.scale.gamma.assign(np.ones(8))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded([X, X]), model([X, X]))
    assert loaded.layers[-1].get_config()["zero_init"]


def test_bad_arguments():
    with pytest.raises(ValueError, match="0 or more. Received: -1"):
        TemporalMLP(-1)
