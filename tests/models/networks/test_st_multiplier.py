"""ST-Multiplier: injected convolutions, lengths, files, gradients."""

import dataclasses

import keras
import numpy as np
import pytest
from small_resnet import randomise, use_small_resnet, videos

from stfn_keras.config import ModelConfig
from stfn_keras.models import build, build_tower
from stfn_keras.models.linked_resnets import tower_layers
from stfn_keras.models.networks import st_multiplier
from stfn_keras.models.weight_files import weighted_layers

CONFIG = ModelConfig(tower="resnet50", segments=3, rgb_size=32, pairs=2, dropout=0.0)


@pytest.fixture(autouse=True, scope="module")
def small():
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_small_resnet(monkeypatch)
        yield st_multiplier.build(CONFIG, 5)


def towers() -> dict[str, keras.Model]:
    networks = {"rgb": "spatial", "flow": "temporal"}
    built = {
        stream: build(dataclasses.replace(CONFIG, network=name), 5)
        for stream, name in networks.items()
    }
    for seed, tower in enumerate(built.values()):
        randomise(tower, seed)
    return built


def test_injected_convolutions_change_nothing_at_first(tmp_path):
    """A still video gives what one segment gives; motion gives what its tower does."""
    trained, outputs = towers(), {}
    for segments in (1, 3, 7):
        network = st_multiplier.build(dataclasses.replace(CONFIG, segments=segments), 5)
        st_multiplier.take_towers(network, trained)
        outputs[segments] = network(videos(segments, still=True))
        for name, expected in outputs[1].items():
            received = outputs[segments][name]
            np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
    alone = trained["flow"]({"flow": videos(3, still=True)["flow"]})["logits"]
    np.testing.assert_allclose(outputs[3]["flow_logits"], alone, rtol=1e-4, atol=1e-5)

    inputs = videos(7)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs)["logits"], network(inputs)["logits"])


def test_no_motion_closes_every_gate(small):
    """With gates at 0 the second units' branches see nothing of appearance."""
    network = small
    randomise(network)
    for stage in (2, 3):
        norm = network.get_layer(f"flow_conv{stage}_block1_3_bn")
        shortcut = network.get_layer(f"flow_conv{stage}_block1_0_bn")
        for layer, shift in ((norm, -1000.0), (shortcut, 0.0)):
            layer.gamma.assign(np.zeros(layer.gamma.shape))
            layer.beta.assign(np.full(layer.beta.shape, shift))
    taps = [network.get_layer(f"link_conv{stage}").output for stage in (2, 3)]
    for link in keras.Model(network.input, taps)(videos(3)):
        np.testing.assert_array_equal(link, np.zeros(link.shape))


def test_training_reaches_every_weight(small):
    network = small
    randomise(network)
    before = [np.array(weight) for weight in network.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(1.0), loss={"logits": loss}, run_eagerly=True)
    network.fit(videos(3), {"logits": np.array([0, 1])}, verbose=0)
    for weight, old in zip(network.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path


def test_injected_convolutions_are_not_of_the_tower(small):
    expected = weighted_layers(build_tower(CONFIG, "rgb"))
    layers = [layer for layer in tower_layers(small, "rgb") if layer.weights]
    assert len(layers) == len(expected)
    injected = [layer.name for layer in small.layers if "_time_conv" in layer.name]
    assert sorted(injected) == [
        f"{stream}_time_conv{stage}_block2"
        for stream in ("flow", "rgb")
        for stage in (2, 3)
    ]
