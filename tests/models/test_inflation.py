"""A still video through an inflated network is its image through the plain one."""

import dataclasses

import keras
import numpy as np
import pytest
from small_resnet import randomise

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import build_tower, load_tower_weights, weighted_layers
from stfn_keras.models.inflation import inflated

# Of each tower: that of images, a clip longer than its field of view in time (99 and
# 129 frames), and the layer of its last maps.
PAIRS = {
    "i3d": ("inception_v1", 136, "Mixed_5c"),
    "i3d_resnet50": ("resnet50", 160, "conv5_block3_out"),
}


def test_by_hand():
    """A kernel of 3 steps is three times a third; what has no time stays."""
    layer = keras.layers.Conv3D(2, (3, 1, 1), padding="same")
    layer.build((None, 5, 4, 4, 1))
    kernel, bias = np.float32([[[[6, -3]]]]), np.float32([1, 2])
    found = inflated([kernel, bias], layer)
    np.testing.assert_array_equal(found[0][:, 0, 0, 0], [[2, -1]] * 3)
    np.testing.assert_array_equal(found[1], bias)
    layer.set_weights(found)
    still = np.ones((1, 5, 4, 4, 1), "float32")
    steps = np.array(layer(still))[0, :, 0, 0]
    np.testing.assert_allclose(steps[1:4], [[7, -1]] * 3)
    np.testing.assert_allclose(steps[[0, 4]], [[5, 0]] * 2)  # zeros before and after

    norm = keras.layers.BatchNormalization()
    norm.build((None, 2))
    assert inflated([bias] * 4, norm) == [bias] * 4


@pytest.mark.parametrize("steps", [15, 16])
def test_a_halved_branch_and_its_shortcut_take_the_same_steps(steps):
    """By hand: a kernel of its middle tap alone gives every second step, from 0 on."""
    config = ModelConfig(tower="i3d_resnet50", frames=8, pairs=8, rgb_size=32)
    tower = build_tower(config, "rgb")
    clips = keras.Input((steps, 1, 1, 256))
    pad, branch, shortcut = (
        tower.get_layer(f"conv3_block1_{name}")
        for name in ("1_pad", "1_conv", "0_conv")
    )
    for layer in (branch, shortcut):
        kernel = np.zeros(layer.kernel.shape, "float32")
        kernel[len(kernel) // 2, ..., 0, 0] = 1.0
        layer.set_weights([kernel, np.zeros(kernel.shape[-1], "float32")])
    model = keras.Model(clips, [branch(pad(clips)), shortcut(clips)])
    x = np.zeros((1, steps, 1, 1, 256), "float32")
    x[0, :, 0, 0, 0] = np.arange(steps)
    for found in model(x):
        np.testing.assert_allclose(found[0, :, 0, 0, 0], np.arange(0, steps, 2))


@pytest.mark.parametrize("name", PAIRS)
def test_a_still_video_is_its_image(name, tmp_path):
    of_images, frames, last = PAIRS[name]
    config = ModelConfig(tower=name, frames=frames, rgb_size=32)
    plain = build_tower(dataclasses.replace(config, tower=of_images, frames=1), "rgb")
    randomise(plain)
    plain.save_weights(tmp_path / "plain.weights.h5")
    tower = build_tower(config, "rgb")
    path = str(tmp_path / "plain.weights.h5")
    load_tower_weights(tower, "rgb", config, path)

    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), "uint8")
    expected = keras.Model(plain.input, plain.get_layer(last).output)(image)
    maps = keras.Model(tower.input, tower.get_layer(last).output)
    steps = np.array(maps(np.tile(image, frames)))
    scale = float(np.abs(expected).max())
    assert scale > 0
    middle = steps[:, steps.shape[1] // 2]
    np.testing.assert_allclose(middle / scale, expected / scale, atol=1e-4)
    assert np.abs(steps[:, 0] - expected).max() > 1e-3 * scale  # zeros come before


@pytest.mark.parametrize("name", PAIRS)
def test_layers_stand_in_the_order_of_their_tower_of_images(name):
    small = ModelConfig(tower=name, frames=8, pairs=8, rgb_size=32)
    plain = dataclasses.replace(small, tower=PAIRS[name][0], frames=1)
    names = [
        [x.name.replace("Conv3d", "Conv2d") for x in weighted_layers(tower)]
        for tower in (build_tower(small, "rgb"), build_tower(plain, "rgb"))
    ]
    assert names[0] == names[1]


def test_flow_from_images(tmp_path):
    """Averaged over the channels, and over time a fifth for each of five steps."""
    config = ModelConfig(tower="i3d_resnet50", frames=8, pairs=8, rgb_size=32)
    application = keras.applications.ResNet50(include_top=False, weights=None)
    application.save_weights(tmp_path / "resnet50.weights.h5")
    tower = build_tower(config, "flow")
    load_tower_weights(tower, "flow", config, str(tmp_path / "resnet50.weights.h5"))
    kernel = np.array(application.get_layer("conv1_conv").kernel)
    found = np.array(tower.get_layer("conv1_conv").kernel)
    assert found.shape == (5, 7, 7, 2, 64)
    for step in range(5):
        for channel in range(2):
            np.testing.assert_allclose(
                found[step, :, :, channel], kernel.mean(axis=2) / 5, atol=1e-6
            )


def test_own_file_and_others(tmp_path):
    config = ModelConfig(tower="i3d", frames=8, pairs=8, rgb_size=32)
    saved, tower = (build_tower(config, "rgb") for _ in range(2))
    saved.save_weights(tmp_path / "i3d.weights.h5")
    load_tower_weights(tower, "rgb", config, str(tmp_path / "i3d.weights.h5"))
    for ours, theirs in zip(tower.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    other = dataclasses.replace(config, tower="i3d_resnet50")
    resnet = build_tower(other, "rgb")
    before = [np.array(weight) for weight in resnet.weights]
    with pytest.raises(UserError, match="exactly the 106 layers.*Check --tower"):
        load_tower_weights(resnet, "rgb", other, str(tmp_path / "i3d.weights.h5"))
    assert all(map(np.array_equal, resnet.weights, before))

    images = dataclasses.replace(config, tower="inception_v1", frames=1)
    plain = build_tower(images, "rgb")
    with pytest.raises(UserError, match="exactly the 114 layers.*Unknown: conv3d:0"):
        load_tower_weights(plain, "rgb", images, str(tmp_path / "i3d.weights.h5"))
    with pytest.raises(UserError, match="no ImageNet weights for --tower=i3d;"):
        load_tower_weights(tower, "rgb", config, "imagenet")


def test_download_of_images(monkeypatch):
    """Keras' file of ResNet-50 goes into the inflated tower."""
    config = ModelConfig(tower="i3d_resnet50", frames=8, rgb_size=32)
    made = []

    def application(**options):
        assert options.pop("weights") == "imagenet"
        made.append(keras.applications.ResNet50(weights=None, **options))
        return made[0]

    from stfn_keras.models import TOWERS

    entry = dataclasses.replace(TOWERS["i3d_resnet50"], application=application)
    monkeypatch.setitem(TOWERS, "i3d_resnet50", entry)
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, "imagenet")
    kernel = made[0].get_layer("conv4_block3_1_conv").kernel
    found = np.array(tower.get_layer("conv4_block3_1_conv").kernel)
    assert found.shape[0] == 3
    np.testing.assert_allclose(found.sum(axis=0), kernel, atol=1e-6)
