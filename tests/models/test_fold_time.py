"""Folding, convolving and pooling over time: values by hand."""

import keras
import numpy as np
import pytest

from stfn_keras.models.fold_time import FoldTime
from stfn_keras.models.temporal_convolution import TemporalConvolution, inflate
from stfn_keras.models.temporal_max_pooling import TemporalMaxPooling


def maps(*values: float, channels: int = 1) -> np.ndarray:
    """Give folded maps of 1 x 1 whose channels all hold the given value."""
    return np.repeat(np.float32(values)[:, None, None, None], channels, axis=-1)


@pytest.mark.parametrize("batch", [None, 2])
def test_videos_stay_together(batch):
    inputs = keras.Input(batch_shape=(batch, 3, 4, 5, 2), dtype="uint8")
    outputs = FoldTime()(inputs)
    assert outputs.shape == (batch and 6, 4, 5, 2)
    assert outputs.dtype == "uint8"
    x = np.arange(2 * 3 * 4 * 5 * 2, dtype="uint8").reshape(2, 3, 4, 5, 2)
    folded = np.array(keras.Model(inputs, outputs)(x))
    np.testing.assert_array_equal(folded[4], x[1, 1])


def test_all_ones_kernels():
    """Three segments are summed; copies of the first and the last stand outside."""
    layer = TemporalConvolution(1, segments=3)
    layer.build((None, 1, 1, 2))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    layer.bias.assign([100.0])
    two = np.concatenate([maps(1, 2, 4, channels=2), maps(0, 0, 1, channels=2)])
    sums = [2 * (1 + 1 + 2), 2 * (1 + 2 + 4), 2 * (2 + 4 + 4), 0, 2, 4]
    np.testing.assert_allclose(np.ravel(layer(two)), 100 + np.float32(sums))


def test_kernels_lie_in_the_order_of_time():
    layer = TemporalConvolution(1, segments=3)
    layer.build((None, 1, 1, 1))
    layer.kernel.assign(np.float32([1, 10, 100]).reshape(3, 1, 1, 1))
    received = np.ravel(layer(maps(1, 2, 3)))
    np.testing.assert_allclose(received, [1 + 10 + 200, 1 + 20 + 300, 2 + 30 + 300])


@pytest.mark.parametrize("segments", [1, 3])
def test_an_inflated_kernel_on_equal_segments(segments):
    draws = np.random.default_rng(0)
    plain = keras.layers.Conv2D(3, 1)
    image = draws.normal(size=(1, 4, 5, 2)).astype("float32")
    expected = np.repeat(plain(image), segments, axis=0)
    layer = TemporalConvolution(3, segments)
    layer.build(image.shape)
    layer.set_weights([inflate(plain.get_weights()[0]), plain.get_weights()[1]])
    received = layer(np.repeat(image, segments, axis=0))
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


def test_starts():
    x = np.random.default_rng(0).normal(size=(6, 2, 2, 4)).astype("float32")
    layer = TemporalConvolution(4, 3, "identity")
    np.testing.assert_array_equal(layer(x), x)
    layer = TemporalConvolution(5, 3)
    layer.build(x.shape)
    first, second, third = np.array(layer.kernel)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert np.abs(first).max() > 0
    with pytest.raises(ValueError, match="Received: 5 and 4"):
        TemporalConvolution(5, 3, "identity")(x)
    with pytest.raises(ValueError, match="inflated, identity. Received: 'half'"):
        TemporalConvolution(5, 3, "half")


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (1, [3]),
        (4, [9]),  # shorter than a window: all of it
        (5, [9]),
        (6, [9]),
        (7, [9, 8]),
        (9, [9, 8, 8]),
    ],
)
def test_windows_of_segments(segments, expected):
    values = [3, 9, 1, 5, 2, 8, 0, 7, 6][:segments]
    layer = TemporalMaxPooling(segments)
    inputs = keras.Input((1, 1, 1))
    outputs = layer(inputs)
    assert outputs.shape == (None, len(expected), 1, 1)
    received = keras.Model(inputs, outputs)(maps(*values))
    np.testing.assert_array_equal(np.ravel(received), expected)


def test_save_and_load(tmp_path):
    inputs = keras.Input((3, 4, 4, 2))
    x = TemporalConvolution(2, 3, "identity")(FoldTime()(inputs))
    model = keras.Model(inputs, TemporalMaxPooling(3, size=2, stride=1)(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 2)).astype("float32")
    assert model(x).shape == (2, 2, 16, 2)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_bad_arguments():
    with pytest.raises(ValueError, match="1 or more. Received: 0"):
        TemporalMaxPooling(0)
    with pytest.raises(ValueError, match="all but the first known"):
        TemporalMaxPooling(3)(keras.Input((None, None, 4)))
