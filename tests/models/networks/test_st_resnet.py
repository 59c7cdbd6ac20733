"""ST-ResNet: the inflated convolutions, lengths, files, types, gradients."""

import dataclasses

import keras
import numpy as np
import pytest
from small_resnet import randomise, use_small_resnet, videos

from stfn_keras.config import ModelConfig
from stfn_keras.models import build
from stfn_keras.models.linked_resnets import tower_layers
from stfn_keras.models.networks import st_resnet
from stfn_keras.models.temporal_convolution import TemporalConvolution

CONFIG = ModelConfig(tower="resnet50", segments=3, rgb_size=32, pairs=2, dropout=0.0)


@pytest.fixture
def towers(monkeypatch):
    use_small_resnet(monkeypatch)
    networks = {"rgb": "spatial", "flow": "temporal"}
    built = {
        stream: build(dataclasses.replace(CONFIG, network=name), 5)
        for stream, name in networks.items()
    }
    for seed, tower in enumerate(built.values()):
        randomise(tower, seed)
    return built


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_nothing_moves_and_nothing_changes(towers):
    """On a still video inflated kernels give what the towers' own kernels gave."""
    single = st_resnet.build(dataclasses.replace(CONFIG, segments=1), 5)
    st_resnet.take_towers(single, towers)
    expected = single(videos(1, still=True))
    alone = towers["flow"]({"flow": videos(3, still=True)["flow"]})["logits"]
    np.testing.assert_allclose(expected["flow_logits"], alone, rtol=1e-4, atol=1e-5)
    for segments in (3, 7):
        network = st_resnet.build(dataclasses.replace(CONFIG, segments=segments), 5)
        st_resnet.take_towers(network, towers)
        outputs = network(videos(segments, still=True))
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, rtol=1e-4, atol=1e-5)


def test_motion_reaches_appearance_and_not_the_reverse(towers, tmp_path):
    network = st_resnet.build(CONFIG, 5)
    st_resnet.take_towers(network, towers)
    inputs, others = videos(3), videos(3, seed=1)
    outputs = network(inputs)
    moved = network({**inputs, "flow": others["flow"]})
    assert not np.allclose(moved["rgb_logits"], outputs["rgb_logits"], atol=1e-3)
    shown = network({**inputs, "rgb": others["rgb"]})
    np.testing.assert_array_equal(shown["flow_logits"], outputs["flow_logits"])
    order = {name: x[:, [1, 0, 2]] for name, x in inputs.items()}
    assert not np.allclose(network(order)["logits"], outputs["logits"], atol=1e-4)

    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    for name, expected in outputs.items():
        np.testing.assert_array_equal(loaded(inputs)[name], expected)
    assert [w.path for w in loaded.weights] == [w.path for w in network.weights]


def test_training_reaches_every_weight(monkeypatch):
    use_small_resnet(monkeypatch)
    network = st_resnet.build(CONFIG, 5)
    randomise(network)
    before = [np.array(weight) for weight in network.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(1.0), loss={"logits": loss}, run_eagerly=True)
    network.fit(videos(3), {"logits": np.array([0, 1])}, verbose=0)
    for weight, old in zip(network.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path


def test_mixed_precision(monkeypatch, policy):
    use_small_resnet(monkeypatch)
    policy("mixed_bfloat16")
    network = st_resnet.build(CONFIG, 5)
    outputs = network(videos(3))
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "float32"
    }
    assert np.all(np.isfinite(outputs["scores"]))
    assert network.get_layer("rgb_conv3_block2_3_conv").output.dtype == "bfloat16"


@pytest.mark.slow
def test_of_resnet_50():
    """Eight 1 x 1 convolutions a stream see three segments: golden parameters."""
    network = st_resnet.build(CONFIG, 5)
    for stream in ("rgb", "flow"):
        temporal = [
            layer.name.removeprefix(f"{stream}_")
            for layer in tower_layers(network, stream)
            if isinstance(layer, TemporalConvolution)
        ]
        stages = ("conv2", "conv3", "conv4", "conv5")
        names = [f"{stage}_block2_{i}_conv" for stage in stages for i in (1, 3)]
        assert temporal == names
    # Two ResNet-50 of 23,587,712; 7 x 7 x 64 for one more channel of flow; two more
    # taps of 2 x 4 f x f for f = 64, 128, 256, 512 in each; two classifiers.
    inflated = sum(2 * 2 * 4 * f * f for f in (64, 128, 256, 512))
    expected = 2 * (23_587_712 + inflated + 2049 * 5) + 7 * 7 * 64
    assert network.count_params() == expected
