"""A learned factor per channel."""

import numpy as np

from stfn_keras.models.layer_scale import LayerScale


def test_every_channel_has_its_own_factor():
    layer = LayerScale(0.5)
    x = np.float32([[2, 4]])
    np.testing.assert_array_equal(layer(x), [[1, 2]])
    layer.gamma.assign([0, 3])
    np.testing.assert_array_equal(layer(x), [[0, 12]])
    assert layer.get_config()["initial"] == 0.5
