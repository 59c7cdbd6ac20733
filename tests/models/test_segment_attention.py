"""A mean at first, then segments are weighed by what they show."""

import keras
import numpy as np

from stfn_keras.models import SegmentAttention

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def test_the_mean_at_first():
    np.testing.assert_allclose(SegmentAttention()(X), X.mean(axis=1), atol=1e-6)


def test_values_by_hand():
    """Scores 0 and log 3 of two segments: weights of a quarter and three."""
    layer = SegmentAttention()
    layer.build((None, 2, 2))
    layer.kernel.assign([[1], [0]])
    x = np.float32([[[0, 8], [np.log(3), 4]]])
    np.testing.assert_allclose(layer(x), [[0.75 * np.log(3), 5]], rtol=1e-6)


def test_it_learns_from_zero_and_takes_any_number_of_segments():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, SegmentAttention()(inputs))
    assert model.output_shape == (None, 4)
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.fit(X, X[:, 0], verbose=0)
    assert np.all(np.array(model.weights[0]))
    assert model(X[:, :2]).shape == (2, 4)
