"""ActionVLAD on small towers: its parts, its centres, its towers' weights."""

import dataclasses
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.networks import action_vlad

CONFIG = ModelConfig(
    network="action_vlad", tower="tiny", segments=3, rgb_size=32, flow_size=16,
    pairs=1, clusters=4, vlad_alpha=10.0, vlad_size=32, dropout=0.0,
)  # fmt: skip


def videos(segments: int = 3, batch: int = 2) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    return {
        "rgb": draws.integers(0, 256, (batch, segments, 32, 32, 3), "uint8"),
        "flow": draws.integers(0, 256, (batch, segments, 16, 16, 2), "uint8"),
    }


@pytest.mark.parametrize("segments", [1, 3, 7])
def test_outputs(segments):
    network = action_vlad.build(dataclasses.replace(CONFIG, segments=segments), 5)
    outputs = network(videos(segments))
    assert outputs.keys() == {"logits", "scores", "rgb_logits", "flow_logits"}
    assert {x.shape for x in map(np.array, outputs.values())} == {(2, 5)}
    assert network.get_layer("rgb_vlad").output.shape == (None, 4 * 32)


def test_maps_of_few_channels_are_not_projected():
    config = dataclasses.replace(CONFIG, vlad_size=128)
    names = [layer.name for layer in action_vlad.build(config, 5).layers]
    assert "rgb_projection" not in names
    assert action_vlad.build(CONFIG, 5).get_layer("rgb_projection").units == 32


def test_flow_weighs_as_asked():
    network = action_vlad.build(dataclasses.replace(CONFIG, flow_weight=2.0), 5)
    y = {name: np.array(x) for name, x in network(videos()).items()}
    expected = (y["rgb_logits"] + 2 * y["flow_logits"]) / 3
    np.testing.assert_allclose(y["logits"], expected, rtol=1e-5, atol=1e-6)


def test_the_order_of_segments_does_not_count():
    network, x = action_vlad.build(CONFIG, 5), videos()
    reverse = {name: value[:, ::-1] for name, value in x.items()}
    np.testing.assert_allclose(
        network(x)["logits"], network(reverse)["logits"], atol=1e-5
    )


def test_gradient_reaches_every_weight():
    network = action_vlad.build(dataclasses.replace(CONFIG, vlad_alpha=1.0), 5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(videos(), training=True)["logits"] - 1))
    gradients = tape.gradient(loss, network.trainable_variables)
    for weight, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert np.any(gradient), weight.path


def test_save_and_load(tmp_path):
    network = action_vlad.build(CONFIG, 5)
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        loaded(videos())["logits"], network(videos())["logits"]
    )
    assert [w.path for w in loaded.weights] == [w.path for w in network.weights]


def test_assignment_is_float32_in_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = action_vlad.build(CONFIG, 5)
    finally:
        keras.config.set_dtype_policy(before)
    assert network.get_layer("rgb_vlad").compute_dtype == "float32"
    action_vlad.set_centres(network, [videos()], seed=0)
    outputs = network(videos())
    assert all(np.array(x).dtype == np.float32 for x in outputs.values())
    assert np.all(np.isfinite(outputs["scores"]))


def test_towers_are_taken_without_their_classifiers():
    network = action_vlad.build(CONFIG, 5)
    spatial = models.build(dataclasses.replace(CONFIG, network="spatial"), 5)
    classifier = network.get_layer("rgb_logits").get_weights()
    action_vlad.take_towers(network, {"rgb": spatial})
    ours, theirs = (m.get_layer("rgb_features").layer for m in (network, spatial))
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        network.get_layer("rgb_logits").get_weights(), classifier, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_centres_come_from_the_local_features_and_the_seed():
    """Two kinds of videos, two clusters: each kind's features have a centre."""
    pytest.importorskip("sklearn")
    config = dataclasses.replace(CONFIG, clusters=2)
    batches = [{n: np.full_like(v, c) for n, v in videos().items()} for c in (0, 255)]
    found = []
    for seed in (0, 0):
        keras.utils.set_random_seed(1)
        network = action_vlad.build(config, 5)
        action_vlad.set_centres(network, iter(batches), seed)
        found.append(np.array(network.get_layer("flow_vlad").centres))
    np.testing.assert_array_equal(*found)
    vlad = network.get_layer("flow_vlad")
    np.testing.assert_allclose(vlad.kernel, 20.0 * np.array(vlad.centres).T, rtol=1e-5)
    local = keras.Model(network.input, vlad.input)
    for batch in batches:
        (feature,) = np.unique(local(batch).numpy().reshape(-1, 32).round(5), axis=0)
        feature /= np.linalg.norm(feature)
        distances = np.linalg.norm(vlad.centres - feature, axis=1)
        assert min(distances) < 1e-3


def test_too_few_features():
    pytest.importorskip("sklearn")
    network = action_vlad.build(dataclasses.replace(CONFIG, clusters=64), 5)
    with pytest.raises(UserError, match="64 clusters of .*Received: 6. Set --clusters"):
        action_vlad.set_centres(network, [videos()], seed=0)
    with pytest.raises(UserError, match="Received: 0"):
        action_vlad.set_centres(network, [], seed=0)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    network = action_vlad.build(CONFIG, 5)
    with pytest.raises(UserError, match="which action_vlad.*needs.*trajectories"):
        action_vlad.set_centres(network, [videos()], seed=0)
