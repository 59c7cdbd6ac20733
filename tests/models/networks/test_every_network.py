"""What holds of every entry of the registry, at the smallest sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from models.networks.every_network import config_of, videos
from small_clip_tower import use_small_clip_tower
from small_resnet import use_small_resnet

from stfn_keras import models
from stfn_keras.config import NETWORKS
from stfn_keras.exporting.formats.litert import convert
from stfn_keras.exporting.saved_model import ServingModule

CLASSES = 4
# Weights of the whole network, three segments, towers included: a change is noticed.
WEIGHTS = {
    "stfn": 428920,
    "spatial": 98676,
    "temporal": 98820,
    "late_fusion": 197496,
    "feature_fusion": 312692,
    "two_stream": 197496,
    "tsn": 197496,
    "four_stream": 394704,
    "i3d": 4880,
    "action_vlad": 198814,
    "off": 6003656,
    "st_resnet": 35976,
    "st_multiplier": 33920,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    use_small_resnet(monkeypatch)
    use_small_clip_tower(monkeypatch)


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_every_entry_is_described():
    assert WEIGHTS.keys() == NETWORKS.keys()
    for network in NETWORKS.values():
        assert 10 < len(network.description) < 90
        assert set(network.stages) <= {"fusion", "end_to_end"}


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_files_and_size(name, tmp_path):
    for segments in (1, 7):
        network = models.build(config_of(name, segments), CLASSES)
        assert network(videos(network))["scores"].shape == (2, CLASSES)
    network = models.build(config_of(name), CLASSES)
    assert network.name == name
    outputs = network(videos(network))
    np.testing.assert_allclose(np.sum(outputs["scores"], -1), 1, rtol=1e-5)
    for key, value in outputs.items():
        assert key == "scores" or key.endswith("logits")
        assert value.shape == (2, CLASSES)
    assert network.count_params() == WEIGHTS[name]
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for key, value in loaded(videos(network)).items():
        np.testing.assert_array_equal(value, outputs[key])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_has_a_gradient(name):
    network = models.build(config_of(name), CLASSES)
    draws = np.random.default_rng(0)
    for weight in network.trainable_variables:  # some start at 0, and stop gradients
        weight.assign(weight + draws.normal(0, 0.05, weight.shape))
    inputs, label = videos(network, 4), tf.constant([0, 1, 2, 3])
    with tf.GradientTape() as tape:
        outputs = network(inputs, training=True)
        heads = [value for key, value in outputs.items() if key.endswith("logits")]
        loss = sum(
            tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label, head))
            for head in heads
        )
    gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        dense = np.array(gradient)
        assert np.isfinite(dense).all() and np.any(dense), variable.path


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_ends_in_float32(name, policy):
    policy("mixed_bfloat16")
    network = models.build(config_of(name), CLASSES)
    outputs = network(videos(network))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "float32"
    }
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert all(v.dtype == "float32" for v in network.trainable_variables)


@pytest.mark.parametrize("name", NETWORKS)
def test_towers_are_taken_and_found(name):
    """Trained towers reach the network, and its layers of a tower can be frozen."""
    config = config_of(name)
    network = models.build(config, CLASSES)
    towers = {
        stream: models.build(config.alone(stream), CLASSES) for stream in config.streams
    }
    models.take_towers(config, network, towers)
    for stream, tower in towers.items():
        theirs = models.weighted_layers(tower.get_layer(f"{stream}_features").layer)
        ours = models.tower_layers(config, network, stream)
        assert len(ours) == len(theirs)
        first, expected = ours[0].get_weights(), theirs[0].get_weights()
        np.testing.assert_array_equal(first[0], expected[0])
        models.freeze(ours, 1.0, partial_batchnorm=True)
        assert not any(layer.trainable_weights for layer in ours)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_can_be_served(name, tmp_path):
    network = models.build(config_of(name), CLASSES)
    module = ServingModule(network, [str(label) for label in range(CLASSES)])
    module.save(tmp_path / "model")
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    inputs = videos(network)
    found = signatures["serving_default"](
        **{k: tf.constant(v) for k, v in inputs.items()}
    )
    np.testing.assert_allclose(
        found["scores"], network(inputs)["scores"], rtol=1e-4, atol=1e-6
    )
    assert ("fuse" in signatures) == NETWORKS[name].pooled
    assert ("features" in signatures) == NETWORKS[name].pooled
    _check_litert(tmp_path, network)


def _check_litert(folder, network):
    """Built-in operators alone, and the network's scores."""
    convert(folder / "model", folder / "model.tflite", "float32")
    interpreter = Interpreter(str(folder / "model.tflite"))
    inputs = videos(network, 1)
    found = interpreter.get_signature_runner("serving_default")(**inputs)
    expected = network(inputs)["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_eight_clips_by_heart(name):
    keras.utils.set_random_seed(0)
    network = models.build(config_of(name), CLASSES)
    inputs, label = videos(network, 8), np.arange(8) % CLASSES
    for stream in inputs:  # a class is a shade, and no noise hides it
        inputs[stream] = inputs[stream] // 8 + 48 * label[
            :, None, None, None, None
        ].astype("uint8")
    fitted = keras.Model(network.input, network.output["logits"])
    fitted.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = fitted.fit(inputs, label, batch_size=8, epochs=25, verbose=0).history
    assert max(history["accuracy"]) == 1.0
    assert history["loss"][-1] < history["loss"][0] / 2
