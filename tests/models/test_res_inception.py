"""The temporal res-inception: values by hand, shapes, parameters."""

import keras
import numpy as np
import pytest

from stfn_keras.models import TemporalResInception

BN = 1 / np.sqrt(1 + 1e-3)  # a new batch normalisation at inference


def set_kernels(layer: TemporalResInception, value: float) -> None:
    for convolution in layer.convolutions:
        convolution.kernel.assign(np.full(convolution.kernel.shape, value))


def steps(*values: float, channels: int = 4) -> np.ndarray:
    """Give one video whose channels all hold the given value at each step."""
    return np.repeat(np.float32(values)[None, :, None], channels, axis=2)


def test_all_ones_kernels():
    """Each branch sums 4 channels over its window; the windows lean right."""
    layer = TemporalResInception()
    layer.build((None, 3, 4))
    set_kernels(layer, 1)
    x = steps(1, 2, 3)
    sums = [
        # k = 2, 3, 4, 5 over the channel sums 4, 8, 12
        [12, 12, 24, 24],
        [20, 24, 24, 24],
        [12, 20, 20, 24],
    ]
    np.testing.assert_allclose(layer(x)[0], x[0] + BN * np.float32(sums), rtol=1e-5)


def test_even_kernels_look_one_step_further_ahead_than_back():
    layer = TemporalResInception()
    layer.build((None, 7, 4))
    set_kernels(layer, 1)
    impulse = steps(0, 0, 0, 1, 0, 0, 0)
    reached = (np.array(layer(impulse))[0] - impulse[0]) > 0
    seen_from = [list(np.flatnonzero(reached[:, branch])) for branch in range(4)]
    assert seen_from == [[2, 3], [2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4, 5]]


def test_negative_branches_are_cut_and_the_shortcut_is_not():
    layer = TemporalResInception()
    layer.build((None, 3, 4))
    set_kernels(layer, -1)
    np.testing.assert_array_equal(layer(steps(1, 2, 3)), steps(1, 2, 3))
    set_kernels(layer, 0)
    np.testing.assert_array_equal(layer(steps(-1, -2, -3)), steps(-1, -2, -3))


def test_shortcut_of_its_own():
    layer = TemporalResInception()
    layer.build([(None, 3, 4), (None, 3, 4)])
    set_kernels(layer, 1)
    x, shortcut = steps(1, 2, 3), steps(100, 200, 300)
    np.testing.assert_allclose(layer([x, shortcut]) - shortcut, layer(x) - x, rtol=1e-4)


def test_projection():
    """With width 1, 8 channels and ones everywhere: 4 branches of 8 are summed."""
    layer = TemporalResInception(width=1)
    layer.build((None, 1, 8))
    set_kernels(layer, 1)
    layer.projection.kernel.assign(np.ones(layer.projection.kernel.shape))
    expected = 1 + 4 * 8 * BN
    np.testing.assert_allclose(layer(steps(1, channels=8)), expected, rtol=1e-5)


def test_parameters_at_2048_channels():
    """Golden: 2048 x 512 x (2 + 3 + 4 + 5) kernels and 4 x 4 x 512 of BN."""
    layer = TemporalResInception()
    layer.build((None, 7, 2048))
    assert sum(int(np.prod(c.kernel.shape)) for c in layer.convolutions) == 14_680_064
    assert layer.count_params() == 14_680_064 + 8_192


@pytest.mark.parametrize("width", [0, 3])
@pytest.mark.parametrize("time", [1, 3, 7, None])
def test_shapes(time, width):
    inputs = keras.Input((time, 16))
    outputs = TemporalResInception(width)(inputs)
    assert outputs.shape == (None, time, 16)
    model = keras.Model(inputs, outputs)
    assert model(np.ones((2, time or 5, 16), "float32")).shape == (2, time or 5, 16)


def test_channels_that_four_does_not_divide_are_projected():
    layer = TemporalResInception()
    assert layer(np.ones((1, 3, 6), "float32")).shape == (1, 3, 6)
    assert layer.projection is not None


@pytest.mark.parametrize("own", [False, True])
def test_save_and_load(tmp_path, own):
    inputs = [keras.Input((3, 8)), keras.Input((3, 8))]
    layer = TemporalResInception(width=1)
    model = keras.Model(inputs, layer(inputs if own else inputs[0]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = list(np.random.default_rng(0).random((2, 1, 3, 8), "float32"))
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[-1].get_config()["width"] == 1


def test_bad_arguments():
    with pytest.raises(ValueError, match="0 or more. Received: -1"):
        TemporalResInception(-1)
    with pytest.raises(ValueError, match="as many channels"):
        TemporalResInception().build([(None, 3, 4), (None, 3, 8)])
