"""The weighted mean of the streams' logits, or of their probabilities."""

import keras
import numpy as np
import pytest

from stfn_keras.models import LogitsFusion


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(np.float64(x) - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("weight", "expected"), [(1.0, [2, 4]), (1.5, [2.2, 4.4]), (0.0, [1, 2])]
)
def test_weighted_mean(weight, expected):
    layer = LogitsFusion((1.0, weight))
    rgb, flow = np.float32([[1, 2]]), np.float32([[3, 6]])
    np.testing.assert_allclose(layer([rgb, flow])[0], expected, rtol=1e-6)
    assert layer.get_config()["weights"] == [1.0, weight]


def test_three_streams():
    streams = [np.float32([[0, 4]]), np.float32([[8, 0]]), np.float32([[4, 4]])]
    layer = LogitsFusion((1, 1, 2))
    np.testing.assert_allclose(layer(streams), [[4, 3]])
    layer = LogitsFusion((1, 0, 3), "softmax")
    expected = (softmax(streams[0]) + 3 * softmax(streams[2])) / 4
    np.testing.assert_allclose(np.exp(layer(streams)), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1.0, 1.5])
def test_softmax_of_the_output_is_the_mean_of_probabilities(weight):
    draws = np.random.default_rng(0)
    rgb, flow = draws.normal(scale=5, size=(2, 4, 6)).astype("float32")
    received = np.array(LogitsFusion((1.0, weight), "softmax")([rgb, flow]))
    expected = (softmax(rgb) + weight * softmax(flow)) / (1 + weight)
    np.testing.assert_allclose(np.exp(received), expected, rtol=1e-5)
    np.testing.assert_allclose(softmax(received), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_softmax_is_finite_where_probabilities_vanish(weight):
    """Logits 1000 apart: float32 knows no such probability, and gradients stay."""
    rgb, flow = keras.Input((2,)), keras.Input((2,))
    scale = keras.layers.Dense(2, use_bias=False, kernel_initializer="identity")
    model = keras.Model(
        [rgb, flow], LogitsFusion((1.0, weight), "softmax")([scale(rgb), scale(flow)])
    )
    x = [np.float32([[1000, 0]]), np.float32([[1000, 0]])]
    np.testing.assert_allclose(model(x), [[0, -1000]])
    model.compile(keras.optimizers.SGD(1e-6), loss="mse")
    model.fit(x, np.zeros((1, 2)), verbose=0)
    assert np.all(np.isfinite(model.get_weights()[0]))
    assert np.any(model.get_weights()[0] != np.eye(2))


def test_config_and_bad_arguments():
    config = LogitsFusion((1.0, 1.5), "softmax").get_config()
    assert LogitsFusion.from_config(config).get_config() == config
    old = {key: value for key, value in config.items() if key != "weights"}
    read = LogitsFusion.from_config({**old, "flow_weight": 1.5})
    assert read.get_config() == config
    with pytest.raises(ValueError, match=r"not all 0. Received: \(0.0, 0\)"):
        LogitsFusion((0.0, 0))
    with pytest.raises(ValueError, match="one of logits, softmax. Received: 'max'"):
        LogitsFusion((1, 1), combination="max")
