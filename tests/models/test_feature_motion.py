"""Motion of feature vectors: values by hand, start, gradients, types, files."""

import keras
import numpy as np
import pytest

from stfn_keras.models import CentralDifference, FeatureGate, FeatureShift

LAYERS = {"shift": FeatureShift, "gate": FeatureGate, "difference": CentralDifference}


def vectors(segments, seed=0):
    draws = np.random.default_rng(seed)
    return draws.normal(size=(2, segments, 32)).astype("float32")


def test_a_shift_by_hand():
    """Two videos: nothing comes over from one to the other."""
    values = np.arange(1.0, 7).repeat(8).reshape(2, 3, 8).astype("float32")
    shifted = np.array(FeatureShift()(values))
    np.testing.assert_array_equal(shifted[..., 0], [[2, 3, 0], [5, 6, 0]])
    np.testing.assert_array_equal(shifted[..., 1], [[0, 1, 2], [0, 4, 5]])
    np.testing.assert_array_equal(shifted[..., 2:], values[..., 2:])
    np.testing.assert_array_equal(FeatureShift(0.0)(values), values)
    with pytest.raises(ValueError, match="0 to 0.5. Received: 0.6"):
        FeatureShift(0.6)


def test_a_central_difference_by_hand():
    """Two channels reduced to their sum; E gives it to the first alone, and halved."""
    layer = CentralDifference(reduction=2)
    layer.build((None, 4, 2))
    layer.reduce.assign([[1.0], [1.0]])
    layer.expand.assign([[0.5, 0.0]])
    x = np.float32([[[1, 1], [2, 2], [4, 4], [3, 3]]])
    received = np.array(layer(x))[0]
    # 2 - 1, 4 - 1, 3 - 2 and 3 - 4, of which the ReLU leaves nothing; twice, halved.
    np.testing.assert_allclose(received[:, 0], [1 + 1, 2 + 3, 4 + 1, 3])
    np.testing.assert_array_equal(received[:, 1], x[0, :, 1])


@pytest.mark.parametrize("segments", [1, 3, 7])
def test_the_start_is_the_identity_and_one_segment_has_no_motion(segments):
    x = vectors(segments)
    for kind in (FeatureGate, CentralDifference):
        layer = kind()
        np.testing.assert_array_equal(layer(x), x)
        layer.expand.assign(np.ones(layer.expand.shape))
        still = np.repeat(x[:, :1], segments, axis=1)
        np.testing.assert_allclose(layer(still), still, rtol=1e-6)
    assert FeatureShift()(x).shape == x.shape


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_half_precision_and_files(name, tmp_path):
    layer = LAYERS[name](dtype="mixed_bfloat16")
    inputs = keras.Input((3, 32))
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs)))
    model = keras.Model(inputs, outputs)
    draws = np.random.default_rng(0)
    for weight in layer.weights:  # the last ones start at 0, and stop gradients
        weight.assign(draws.normal(size=weight.shape))
    before = layer.get_weights()
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    model.fit(vectors(3), np.ones((2, 1)), verbose=0)
    for weight, old in zip(layer.weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
    assert keras.backend.standardize_dtype(layer(vectors(3)).dtype) == "bfloat16"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(vectors(3)), model(vectors(3)))
