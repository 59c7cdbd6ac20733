"""Poolings of clips equal Keras' own, in forms that every runtime has."""

import keras
import numpy as np
import pytest

from stfn_keras.models import ClipMaxPooling, WindowMean

CLIP = np.random.default_rng(0).normal(size=(2, 7, 9, 8, 3)).astype("float32")


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("sides", "strides"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 2, 2), (2, 2, 2)),
     ((3, 3, 3), (2, 2, 2)), ((1, 2, 2), (2, 1, 1))],
)  # fmt: skip
def test_maximum(sides, strides, padding):
    layer = ClipMaxPooling(sides, strides, padding)
    expected = keras.layers.MaxPooling3D(sides, strides, padding)(CLIP)
    np.testing.assert_array_equal(layer(CLIP), expected)
    assert layer.compute_output_shape(CLIP.shape) == expected.shape
    again = ClipMaxPooling.from_config(layer.get_config())
    np.testing.assert_array_equal(again(CLIP), expected)


@pytest.mark.parametrize("window", [(2, 7, 7), (1, 1, 1), (7, 9, 8), (3, 2, 8)])
def test_mean(window):
    layer = WindowMean(window)
    slid = keras.layers.AveragePooling3D(window, strides=1)(CLIP)
    expected = keras.layers.GlobalAveragePooling3D()(slid)
    np.testing.assert_allclose(layer(CLIP), expected, atol=1e-6)
    assert layer.compute_output_shape(CLIP.shape) == (2, 3)
    again = WindowMean.from_config(layer.get_config())
    np.testing.assert_array_equal(again(CLIP), layer(CLIP))


def test_mean_of_less_than_a_window():
    expected = keras.layers.GlobalAveragePooling3D()(CLIP)
    np.testing.assert_allclose(WindowMean((9, 9, 9))(CLIP), expected, atol=1e-6)


def test_mean_by_hand():
    """Steps of 0, 3, 6, 0: the ends count half."""
    steps = np.float32([[[0], [3], [6], [0]]])
    np.testing.assert_allclose(WindowMean((2,))(steps), [[3]])
