"""I3D: its size, its shapes, its pooling; what a clip tower is shown and refuses."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import TOWERS, build_tower, tapped_tower

CLIPS = tuple(name for name, tower in TOWERS.items() if tower.time)
SMALL = ModelConfig(
    network="i3d", tower="i3d", segments=1, frames=8, pairs=8, rgb_size=32, dropout=0.0
)


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def clips(config, stream, count=2, seed=0):
    channels = models.input_channels(config, stream)
    size = models.input_size(config, stream)
    draws = np.random.default_rng(seed)
    return draws.integers(1, 256, (count, size, size, channels), "uint8")


def multiply_adds(tower):
    kinds = (keras.layers.Conv2D, keras.layers.Conv3D)
    return sum(
        int(np.prod(layer.output.shape[1:-1])) * int(np.prod(layer.kernel.shape))
        for layer in tower.layers
        if isinstance(layer, kinds)
    )


@pytest.mark.parametrize(
    ("name", "stream", "weights", "billions"),
    [
        ("i3d", "rgb", 12_294_544, 111.15),
        ("i3d", "flow", 12_272_592, 102.34),
        ("i3d_resnet50", "rgb", 28_319_360, 60.71),
        ("inception_v1", "rgb", 5_607_184, 1.50),
    ],
)
def test_size(name, stream, weights, billions):
    """Golden, at 64 frames of 224 pixels; of i3d the sum of the published shapes."""
    frames = 64 if name in CLIPS else 1
    config = ModelConfig(tower=name, frames=frames, pairs=64)
    tower = build_tower(config, stream)
    assert tower.count_params() == weights
    assert multiply_adds(tower) / 1e9 == pytest.approx(billions, abs=0.01)
    assert tower.output_shape == (None, TOWERS[name].features)
    if name == "i3d":
        sides = {"Conv3d_1a_7x7": (32, 112), "MaxPool_3a_3x3": (32, 28),
                 "Mixed_4f": (16, 14), "Mixed_5c": (8, 7)}  # fmt: skip
        for layer, (steps, side) in sides.items():
            found = tower.get_layer(layer).output.shape[1:4]
            assert found == (steps, side, side)


@pytest.mark.parametrize("name", CLIPS)
def test_small_clips(name):
    config = dataclasses.replace(SMALL, tower=name)
    for stream in ("rgb", "flow"):
        tower = build_tower(config, stream)
        pixels = clips(config, stream)
        features = np.array(tower(pixels))
        assert features.shape == (2, models.feature_size(config))
        assert features.dtype == np.float32 and np.isfinite(features).all()
        names = [layer.name for layer in models.weighted_layers(tower)]
        assert len(set(names)) == len(names)
        backwards = pixels.reshape(2, 32, 32, 8, -1)[:, :, :, ::-1]
        other = np.array(tower(backwards.reshape(pixels.shape)))
        assert not np.allclose(features, other)  # it sees the order of the frames


def test_the_last_pooling_weighs_the_ends_of_time_half():
    """As a window of two steps, slid by one and averaged, does."""
    config = ModelConfig(tower="i3d", frames=32, rgb_size=32)
    tower = build_tower(config, "rgb")
    draws = np.random.default_rng(0)
    maps = draws.random((1, *tower.get_layer("Mixed_5c").output.shape[1:]), "float32")
    assert maps.shape == (1, 4, 1, 1, 1024)
    found = tower.get_layer("avg_pool")(maps)
    expected = np.tensordot([1 / 6, 1 / 3, 1 / 3, 1 / 6], maps[0, :, 0, 0], 1)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_every_weight_has_a_gradient():
    tower = build_tower(SMALL, "rgb")
    with tf.GradientTape() as tape:
        draws = np.random.default_rng(1).normal(size=1024).astype("float32")
        loss = tf.reduce_sum(tower(clips(SMALL, "rgb", 4), training=True) * draws)
    gradients = tape.gradient(loss, [v.value for v in tower.trainable_variables])
    for variable, gradient in zip(tower.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        # One step of one place: the outer taps of the last kernels see zeros alone.
        assert np.any(gradient), variable.path


def test_network_file_freezing_memory_and_blocks(tmp_path):
    network = models.build(SMALL, 4)
    inputs = {s: clips(SMALL, s)[:, None] for s in ("rgb", "flow")}
    outputs = network(inputs)
    np.testing.assert_allclose(
        outputs["logits"],
        (np.array(outputs["rgb_logits"]) + outputs["flow_logits"]) / 2,
        rtol=1e-5,
        atol=1e-6,
    )
    network.save(tmp_path / "i3d.keras")
    loaded = keras.saving.load_model(tmp_path / "i3d.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs)["scores"], outputs["scores"])

    assert models.activation_bytes(network) > 2 * 8 * 16 * 16 * 64
    assert models.recompute_towers(network) > 10
    layers = models.tower_layers(SMALL, network, "flow")
    models.freeze(layers, 0.5, partial_batchnorm=True)
    assert not any(layer.trainable for layer in layers[:57])
    trained = [layer for layer in layers if layer.trainable]
    assert trained and not any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in trained
    )


def test_blocks_computed_again_give_the_same(monkeypatch):
    """Of clips too: the same loss and gradients with `--recompute`."""
    tower = build_tower(SMALL, "rgb")
    plain = models.TimeDistributed(tower, name="plain")
    pixels = clips(SMALL, "rgb", 2)[:, None]
    variables = [v.value for v in tower.trainable_variables[:4]]
    inputs = keras.Input(pixels.shape[1:], dtype="uint8")
    network = keras.Model(inputs, plain(inputs))

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(pixels, training=True) ** 2)
        return float(loss), [np.array(g) for g in tape.gradient(loss, variables)]

    expected = gradients()
    models.recompute_towers(network)
    loss, found = gradients()
    assert loss == pytest.approx(expected[0], rel=1e-4)
    for ours, theirs in zip(found, expected[1], strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-3)


@pytest.mark.parametrize("kind", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(kind, policy):
    reference = build_tower(SMALL, "rgb")
    policy(kind)
    tower = build_tower(SMALL, "rgb")
    tower.set_weights(reference.get_weights())
    features, expected = (x(clips(SMALL, "rgb")) for x in (tower, reference))
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    scale = float(np.max(np.abs(expected)))
    np.testing.assert_allclose(features / scale, expected / scale, atol=0.05)


def test_other_networks_stand_on_clips():
    config = dataclasses.replace(SMALL, network="stfn", segments=2, width=4, blocks=1)
    network = models.build(config, 4)
    inputs = {
        s: np.stack([clips(config, s, seed=n) for n in range(2)], axis=1)
        for s in ("rgb", "flow")
    }
    assert network(inputs)["scores"].shape == (2, 4)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tower": "tiny"}, "one of i3d, i3d_resnet50. Received: tiny"),
        ({"frames": 1}, "clips of 8 frames or more.*--frames=64.*: --frames=1"),
        ({"pairs": 5}, "clips of 8 pairs or more.*Received: --pairs=5"),
        ({"network": "late_fusion", "modalities": ("rgb", "difference")},
         "streams rgb and flow alone. Received: difference"),
        ({"network": "four_stream"}, "Received: dynamic_rgb"),
    ],
)  # fmt: skip
def test_refused_before_training_and_when_built(changes, error):
    config = dataclasses.replace(SMALL, **changes)
    for refuse in (models.check, lambda config: models.build(config, 4)):
        with pytest.raises(UserError, match=error):
            refuse(config)


@pytest.mark.parametrize("network", ["action_vlad", "off", "st_resnet"])
def test_networks_of_maps_refuse_it(network):
    config = dataclasses.replace(SMALL, network=network)
    for refuse in (models.check, lambda config: models.build(config, 4)):
        with pytest.raises(UserError, match=f"{network} reads the maps.*--tower=i3d"):
            refuse(config)


def test_its_maps_cannot_be_tapped():
    with pytest.raises(UserError, match="maps stage5.*--tower=i3d"):
        tapped_tower(SMALL, "rgb", ["stage5"])


def test_inception_v1_has_maps():
    config = ModelConfig(tower="inception_v1", rgb_size=64)
    stages = ("stage2", "stage3", "stage4", "stage5")
    tower = tapped_tower(config, "rgb", [*stages, "features"])
    found = tower(np.zeros((1, 64, 64, 3), "uint8"))
    assert [found[s].shape[1] for s in stages] == [16, 8, 4, 2]
