"""The weighted mean of both streams' logits."""

import numpy as np
import pytest

from stfn_keras.models import LogitsFusion


@pytest.mark.parametrize(
    ("weight", "expected"), [(1.0, [2, 4]), (1.5, [2.2, 4.4]), (0.0, [1, 2])]
)
def test_weighted_mean(weight, expected):
    layer = LogitsFusion(weight)
    rgb, flow = np.float32([[1, 2]]), np.float32([[3, 6]])
    np.testing.assert_allclose(layer([rgb, flow])[0], expected, rtol=1e-6)
    assert layer.get_config()["flow_weight"] == weight
