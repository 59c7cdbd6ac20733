"""VLAD against its definition in loops, and its three variables tied at the start."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.models.vlad import VLAD

X = np.random.default_rng(0).normal(size=(2, 3, 2, 2, 5)).astype("float32")
CENTRES = np.random.default_rng(1).normal(size=(4, 5)).astype("float32") / 3


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def reference(video: np.ndarray, centres: np.ndarray, alpha: float) -> np.ndarray:
    """One video, feature by feature, from distances to the centres."""
    sums = np.zeros_like(centres)
    for feature in unit(video.reshape(-1, video.shape[-1])):
        shares = np.exp(-alpha * np.sum((feature - centres) ** 2, axis=1))
        for k, share in enumerate(shares / shares.sum()):
            sums[k] += share * (feature - centres[k])
    return unit(unit(sums).reshape(-1))


def layer(alpha: float, centres: np.ndarray = CENTRES) -> VLAD:
    vlad = VLAD(len(centres), alpha)
    vlad.build((None, 3, 2, 2, centres.shape[1]))
    vlad.set_centres(centres)
    return vlad


@pytest.mark.parametrize("alpha", [0.0, 1.0, 10.0])
def test_equals_the_definition(alpha):
    expected = [reference(video, CENTRES, alpha) for video in X]
    received = layer(alpha)(X)
    assert received.shape == (2, 20)
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_values_by_hand():
    """Two centres on the axes: of (3, 4), at (.6, .8), the second is the nearer."""
    vlad = layer(1000.0, np.eye(2, dtype="float32"))
    x = np.float32([[[3, 4], [0, 2]]])  # the other one lies on its centre
    # Residuals from (0, 1): (.6, -.2) and (0, 0). Nothing belongs to (1, 0).
    expected = [[0, 0, 0.6 / np.sqrt(0.4), -0.2 / np.sqrt(0.4)]]
    np.testing.assert_allclose(vlad(x), expected, atol=1e-4)


def test_each_cluster_weighs_alike_and_the_whole_is_of_length_1():
    vectors = np.array(layer(10.0)(X)).reshape(2, 4, 5)
    lengths = np.linalg.norm(vectors, axis=-1)
    np.testing.assert_allclose(lengths, 0.5, rtol=1e-4)


def test_weights_belong_to_the_centres_at_the_start():
    vlad = VLAD(clusters=3, alpha=7.0)
    vlad.build((None, 9, 5))
    centres = np.array(vlad.centres)
    np.testing.assert_allclose(centres @ centres.T, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(vlad.kernel, 14.0 * centres.T, rtol=1e-6)
    np.testing.assert_allclose(vlad.bias, [-7.0] * 3, rtol=1e-5)
    assert len(vlad.trainable_weights) == 3


def test_centres_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 5\). Received: \(5, 4\)"):
        layer(1.0).set_centres(CENTRES.T)


def test_gradient_reaches_every_variable_and_zeros_are_finite():
    vlad = layer(1.0)
    x = tf.Variable(np.concatenate([X, 0 * X]))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(vlad(x)[:, :7])
    gradients = tape.gradient(y, [x, *vlad.trainable_variables])
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        assert np.any(np.abs(gradient) > 1e-4)
    assert np.all(np.isfinite(vlad(0 * X)))


def test_the_order_of_positions_and_segments_does_not_count():
    vlad = layer(10.0)
    mixed = np.random.default_rng(2).permutation(X.reshape(2, 12, 5), axis=1)
    np.testing.assert_allclose(vlad(mixed), vlad(X), atol=1e-5)


def test_save_and_load(tmp_path):
    inputs = keras.Input((3, 2, 2, 5))
    model = keras.Model(inputs, layer(10.0)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(X), model(X))
    assert loaded.layers[-1].get_config()["alpha"] == 10.0
