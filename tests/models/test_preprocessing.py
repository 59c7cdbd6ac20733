"""Pixels are scaled as each tower's weights expect, and no motion is zero."""

import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from stfn_keras.models import Preprocess
from stfn_keras.models.rank_pooling import RankPooling

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), "uint8")


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("caffe", keras.applications.resnet.preprocess_input),
        ("tf", keras.applications.inception_v3.preprocess_input),
        ("lite", lambda x: (x - 127) / 128),
        ("signed", lambda x: x / 128 - 1),
        ("torch", lambda x: preprocess_input(x, mode="torch")),
    ],
)
def test_rgb_equals_the_towers_own_preprocessing(mode, reference):
    expected = reference(PIXELS.astype("float32"))
    np.testing.assert_allclose(Preprocess(mode)(PIXELS), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("mode", "divisor"),
    [
        ("caffe", 1),
        ("tf", 127.5),
        ("lite", 128),
        ("signed", 128),
        ("torch", 255 * (0.229 + 0.224 + 0.225) / 3),
    ],
)
def test_flow_is_centred_and_on_the_scale_of_rgb(mode, divisor):
    codes = np.uint8([[1, 64, 128, 192, 255]])
    values = np.array(Preprocess(mode, "flow")(codes))[0]
    expected = np.array([-127, -64, 0, 64, 127]) / divisor
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values[2] == 0
    np.testing.assert_array_equal(values, -values[::-1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_types_are_rounded_once(dtype):
    """The mean is subtracted in float32: 124 - 123.68 keeps its digits."""
    full = Preprocess("caffe")(PIXELS)
    half = Preprocess("caffe", dtype=f"mixed_{dtype}")(PIXELS)
    assert keras.backend.standardize_dtype(half.dtype) == dtype
    expected = keras.ops.cast(full, dtype)
    np.testing.assert_array_equal(
        keras.ops.cast(half, "float32"), keras.ops.cast(expected, "float32")
    )


def test_config_is_complete():
    config = Preprocess("lite", "flow").get_config()
    assert Preprocess.from_config(config).get_config() == config
    assert (config["mode"], config["stream"]) == ("lite", "flow")


def test_bad_arguments():
    with pytest.raises(ValueError, match="must be one of caffe, tf, lite"):
        Preprocess("yuv")
    with pytest.raises(ValueError, match="one of rgb, flow, difference.*: 'audio'"):
        Preprocess("tf", "audio")
    with pytest.raises(ValueError, match="one of rgb, flow. Received: 'dynamic_rgb'"):
        Preprocess("tf", "dynamic_rgb", time=True)


def three_frames():
    """uint8 (1, 2, 1, 9): three frames in the channels, those of frame t are t + i."""
    frames = [np.uint8([[[10, 20, 30], [40, 50, 60]]]) + step for step in (0, 1, 5)]
    return np.concatenate(frames, axis=-1).reshape(1, 2, 1, 9), frames


def test_rgb_takes_the_first_frame():
    stacked, frames = three_frames()
    plain = Preprocess("caffe")(frames[0].reshape(1, 2, 1, 3))
    np.testing.assert_array_equal(Preprocess("caffe")(stacked), plain)


def test_differences_of_frames_in_a_row():
    stacked, _ = three_frames()
    layer = Preprocess("tf", "difference")
    found = layer(stacked)
    assert found.shape == layer.compute_output_shape(stacked.shape) == (1, 2, 1, 6)
    steps = np.repeat([1, 4], 3) / 127.5
    np.testing.assert_allclose(found[0, 0, 0], steps, rtol=1e-6)


@pytest.mark.parametrize("mode", ["caffe", "lite"])
def test_a_dynamic_image_is_the_rank_pooling_of_its_frames(mode):
    stacked, frames = three_frames()
    layer = Preprocess(mode, "dynamic_rgb")
    found = np.array(layer(stacked))
    assert found.shape == layer.compute_output_shape(stacked.shape) == (1, 2, 1, 3)
    pooled = RankPooling(0.1)(np.stack(frames, axis=1).astype("float32"))
    expected = np.array(pooled).reshape(1, 2, 1, 3) / {"caffe": 1, "lite": 128}[mode]
    expected = expected[..., ::-1] if mode == "caffe" else expected
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_dynamic_flow_by_hand():
    """The weights of two steps are -0.5 and 0.5."""
    pairs = np.uint8([128, 128, 148, 118]).reshape(1, 1, 1, 4)  # u1, v1, u2, v2
    found = Preprocess("lite", "dynamic_flow")(pairs)
    expected = 0.1 * 0.5 * np.array([20, -10]) / 128
    np.testing.assert_allclose(found[0, 0, 0], expected, rtol=1e-5)


def test_clips_have_their_steps_in_front():
    stacked, frames = three_frames()
    layer = Preprocess("tf", time=True)
    found = np.array(layer(stacked))
    assert found.shape == layer.compute_output_shape(stacked.shape) == (1, 3, 2, 1, 3)
    for step, frame in enumerate(frames):
        plain = Preprocess("tf")(frame.reshape(1, 2, 1, 3))
        np.testing.assert_allclose(found[:, step], plain, rtol=1e-6)
    again = Preprocess.from_config(layer.get_config())
    np.testing.assert_array_equal(again(stacked), found)
