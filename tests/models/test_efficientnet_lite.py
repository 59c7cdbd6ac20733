"""EfficientNet-Lite0: parameters as published, real weights in their places."""

import h5py
import keras
import numpy as np
import pytest

from stfn_keras.config import ModelConfig
from stfn_keras.models import build_tower, load_tower_weights

WEIGHTS = "weights/efficientnet_lite0_imagenet_notop.weights.h5"


def test_parameters():
    """Golden: the published 4,652,008 less a classifier of 1280 x 1000 + 1000."""
    tower = build_tower(ModelConfig(tower="efficientnet_lite0"), "rgb")
    trainable = sum(int(np.prod(w.shape)) for w in tower.trainable_weights)
    assert trainable == 4_652_008 - 1_281_000
    strides = {"block1a": 112, "block2b": 56, "block3b": 28, "block5c": 14}
    for block, side in strides.items():
        layer = tower.get_layer(f"{block}_project_bn")
        assert layer.output.shape[1:3] == (side, side)
    assert len([x for x in tower.layers if isinstance(x, keras.layers.Add)]) == 9


@pytest.mark.real
def test_real_weights(real_data):
    config = ModelConfig(tower="efficientnet_lite0")
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, str(real_data / WEIGHTS))
    with h5py.File(real_data / WEIGHTS) as file:
        stored = [
            float(np.sum(array[()], dtype="float64"))
            for group in file["layers"].values()
            for array in group.get("vars", {}).values()
        ]
    loaded = [float(np.sum(w.numpy(), dtype="float64")) for w in tower.weights]
    np.testing.assert_allclose(sorted(loaded), sorted(stored))


@pytest.mark.real
def test_real_weights_know_real_frames(real_data):
    """Statistics of real frames agree with those that the weights were trained on.

    A layer in the wrong place, or inputs on the wrong scale, would break this.
    """
    av = pytest.importorskip("av")
    frames = []
    for path in sorted((real_data / "UCF-101").glob("*/*_c01.avi"))[::4]:
        with av.open(str(path)) as video:
            image = next(video.decode(video=0)).to_ndarray(format="rgb24")
        frames.append(image[8:232, 48:272])
    config = ModelConfig(tower="efficientnet_lite0")
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, str(real_data / WEIGHTS))
    # The stored means of the other convolutions are close to zero and say little.
    names = [
        layer.name.removesuffix("_conv")
        for layer in tower.layers
        if layer.name.endswith(("dw_conv", "project_conv", "stem_conv"))
    ]
    taps = [tower.get_layer(f"{name}_conv").output for name in names]
    *maps, features = keras.Model(tower.input, [*taps, tower.output])(np.stack(frames))
    assert len(maps) == 33 and features.shape == (len(frames), 1280)
    assert np.min(features) >= 0 and np.max(features) <= 6
    for name, values in zip(names, maps, strict=True):
        expected = tower.get_layer(f"{name}_bn").moving_mean
        received = np.mean(values, axis=(0, 1, 2))
        agreement = np.corrcoef(received, expected)[0, 1]
        assert agreement > 0.85, (name, agreement)
