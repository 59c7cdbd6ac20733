"""The fusion block: what goes where, by values that one can check by hand."""

import keras
import numpy as np
import pytest

from stfn_keras.models import SpatioTemporalFusion

RGB = np.full((1, 3, 4), 2, "float32")
FLOW = np.full((1, 3, 4), 6, "float32")
FUSED = {"average": 4, "maximum": 6, "multiply": 12}


def block(kernels: float = 0, **options) -> SpatioTemporalFusion:
    layer = SpatioTemporalFusion(**options)
    layer.build([RGB.shape, FLOW.shape])
    for module in (layer.rgb, layer.flow):
        for convolution in module.convolutions:
            convolution.kernel.assign(np.full(convolution.kernel.shape, kernels))
    return layer


@pytest.mark.parametrize("fusion", FUSED)
@pytest.mark.parametrize("direction", ["bi", "uni"])
def test_silent_branches_leave_the_shortcuts(direction, fusion):
    rgb, flow = block(direction=direction, fusion=fusion)([RGB, FLOW])
    np.testing.assert_allclose(rgb, FUSED[fusion])
    np.testing.assert_allclose(flow, FUSED[fusion] if direction == "bi" else 6)


@pytest.mark.parametrize("direction", ["bi", "uni"])
def test_own_residual_carries_the_streams_own_input(direction):
    rgb, flow = block(direction=direction, residual="own")([RGB, FLOW])
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_array_equal(flow, FLOW)


def test_own_residual_feeds_the_branches_with_the_fusion():
    """One step, ones: each branch sums 4 channels of f = 4."""
    rgb, flow = block(kernels=1, residual="own")([RGB[:, :1], FLOW[:, :1]])
    dynamics = 16 / np.sqrt(1 + 1e-3)
    np.testing.assert_allclose(rgb, 2 + dynamics, rtol=1e-5)
    np.testing.assert_allclose(flow, 6 + dynamics, rtol=1e-5)


@pytest.mark.parametrize("residual", ["fused", "own"])
def test_uni_keeps_appearance_out_of_motion(residual):
    layer = block(kernels=1, direction="uni", residual=residual)
    rgb, flow = layer([RGB, FLOW])
    other_rgb, same_flow = layer([RGB + 1, FLOW])
    np.testing.assert_array_equal(flow, same_flow)
    assert np.all(np.array(other_rgb) > np.array(rgb))
    fed, _ = layer([RGB, FLOW + 1])
    assert np.all(np.array(fed) > np.array(rgb))


def test_streams_have_separate_weights():
    layer = SpatioTemporalFusion()
    layer.build([(None, 3, 16), (None, 3, 16)])
    one = 16 * 4 * (2 + 3 + 4 + 5) + 4 * 4 * 4
    assert layer.count_params() == 2 * one


@pytest.mark.parametrize("time", [1, 3, 7, None])
def test_shapes(time):
    inputs = [keras.Input((time, 8)), keras.Input((time, 8))]
    rgb, flow = SpatioTemporalFusion(width=1)(inputs)
    assert rgb.shape == flow.shape == (None, time, 8)


def test_config_is_complete():
    options = {"direction": "uni", "fusion": "multiply", "residual": "own", "width": 3}
    config = SpatioTemporalFusion(**options).get_config()
    assert options.items() <= config.items()
    assert SpatioTemporalFusion.from_config(config).get_config() == config


def test_bad_arguments():
    with pytest.raises(ValueError, match="`direction` must be one of bi, uni"):
        SpatioTemporalFusion(direction="both")
    with pytest.raises(ValueError, match="Received: 'sum'"):
        SpatioTemporalFusion(fusion="sum")
    with pytest.raises(ValueError, match="as many channels"):
        SpatioTemporalFusion().build([(None, 3, 4), (None, 3, 8)])
