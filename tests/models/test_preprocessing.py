"""Pixels are scaled as each tower's weights expect, and no motion is zero."""

import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from stfn_keras.models import Preprocess

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
    with pytest.raises(ValueError, match="must be rgb or flow"):
        Preprocess("tf", "audio")
