"""Slopes that one can see: 8 per unit and pixel, x before y, channel by channel."""

import keras
import numpy as np

from stfn_keras.models.sobel import Sobel


def test_a_plane_has_its_slopes():
    """Channel 0 rises by 1 to the right, channel 1 by 2 downwards."""
    y, x = np.mgrid[:5, :6].astype("float32")
    maps = np.stack([x, 2 * y], axis=-1)[None]
    derivatives = np.array(Sobel()(maps))
    assert derivatives.shape == (1, 5, 6, 4)
    inside = derivatives[0, 1:-1, 1:-1]
    np.testing.assert_array_equal(inside, np.broadcast_to([8, 0, 0, 16], (3, 4, 4)))


def test_beyond_the_border_is_zero():
    derivatives = np.array(Sobel()(np.ones((1, 3, 3, 1), "float32")))[0]
    np.testing.assert_array_equal(derivatives[1, :, 0], [4, 0, -4])
    np.testing.assert_array_equal(derivatives[:, 1, 1], [4, 0, -4])


def test_nothing_to_learn_and_half_precision():
    layer = Sobel(dtype="mixed_bfloat16")
    received = layer(np.ones((1, 3, 3, 2)))
    assert keras.backend.standardize_dtype(received.dtype) == "bfloat16"
    assert layer.weights == []
