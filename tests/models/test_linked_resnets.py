"""Links between two towers, by hand; which layers are the towers'; what is refused."""

import dataclasses

import keras
import numpy as np
import pytest
from small_resnet import randomise, use_small_resnet, videos

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import build, build_tower
from stfn_keras.models.linked_resnets import (
    link,
    renamed,
    take_towers,
    tower_layers,
)
from stfn_keras.models.networks import st_resnet
from stfn_keras.models.weight_files import weighted_layers

CONFIG = ModelConfig(tower="resnet50", segments=3, rgb_size=32, pairs=2)


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_small_resnet(monkeypatch)
        temporal = build(dataclasses.replace(CONFIG, network="temporal"), 5)
        randomise(temporal)
        yield st_resnet.build(CONFIG, 5), temporal


def tiny_tower(name: str) -> keras.Model:
    """Two units of one channel: `2 x`, then `relu(2 x) + conv(relu(2 x))`."""
    layers = keras.layers
    inputs = keras.Input((1, 1, 1), name=name)
    x = layers.Add(name="conv2_block1_add")([inputs, inputs])
    shortcut = layers.ReLU(name="conv2_block1_out")(x)
    x = layers.Conv2D(1, 1, kernel_initializer="ones", name="conv2_block2_1_conv")(
        shortcut
    )
    x = layers.Add(name="conv2_block2_add")([shortcut, x])
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize(
    ("join", "rgb", "flow", "appearance"),
    [
        # relu(x) + (x + relu(m)) with x = 2 rgb and m = 2 flow
        (keras.layers.Add, 1.0, 3.0, 2 + (2 + 6)),
        (keras.layers.Add, -1.0, 3.0, 0 + (-2 + 6)),
        (keras.layers.Add, 1.0, -3.0, 2 + (2 + 0)),
        # relu(x) + x relu(m)
        (keras.layers.Multiply, 1.0, 3.0, 2 + 2 * 6),
        (keras.layers.Multiply, -1.0, 3.0, 0 - 2 * 6),
        (keras.layers.Multiply, 1.0, -3.0, 2 + 2 * 0),
    ],
)
def test_links_by_hand(join, rgb, flow, appearance):
    """Motion enters the residual branch, never the shortcut; motion stays alone."""
    towers = {stream: tiny_tower(stream) for stream in ("rgb", "flow")}
    images = {stream: keras.Input((1, 1, 1), name=stream) for stream in towers}
    maps = link(towers, images, 1, join, renamed)
    model = keras.Model(images, maps)
    outputs = model(
        {"rgb": np.full((1, 1, 1, 1), rgb), "flow": np.full((1, 1, 1, 1), flow)}
    )
    assert float(outputs["rgb"][0, 0, 0, 0]) == appearance
    assert float(outputs["flow"][0, 0, 0, 0]) == 2 * max(2 * flow, 0)


def test_layers_of_a_stream(small, tmp_path):
    network, temporal = small
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    for stream in ("rgb", "flow"):
        tower = build_tower(CONFIG, stream)
        expected = {f"{stream}_{layer.name}" for layer in weighted_layers(tower)}
        names = [layer.name for layer in tower_layers(network, stream)]
        assert set(names) == expected
        assert names[0] == f"{stream}_conv1_conv"
        assert [layer.name for layer in tower_layers(loaded, stream)] == names
    assert tower_layers(temporal, "flow") == []


def test_towers_of_another_shape_change_nothing(small):
    network, _ = small
    before = [np.array(weight) for weight in network.weights]
    temporal = build(dataclasses.replace(CONFIG, network="temporal"), 4)
    randomise(temporal)
    with pytest.raises(UserError, match="for layer 'flow_logits'"):
        take_towers(network, {"flow": temporal})
    for weight, old in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_one_tower_alone(small):
    network, temporal = small
    take_towers(network, {"flow": temporal})
    still = videos(3, still=True)
    np.testing.assert_allclose(
        network(still)["flow_logits"],
        temporal({"flow": still["flow"]})["logits"],
        rtol=1e-4,
        atol=1e-5,
    )


def test_what_cannot_be_linked():
    with pytest.raises(UserError, match="resnet50, resnet101, resnet152. Received: t"):
        st_resnet.build(dataclasses.replace(CONFIG, tower="tiny"), 5)
    with pytest.raises(UserError, match="32 pixels of RGB, 64 of flow"):
        st_resnet.build(dataclasses.replace(CONFIG, flow_size=64), 5)
