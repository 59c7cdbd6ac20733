"""Towers that are computed again in the backward pass: the same numbers, no more."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.blocks import split
from stfn_keras.models.recompute import RecomputedTower

TINY = {"segments": 2, "rgb_size": 16, "pairs": 1, "blocks": 1, "width": 4}


def config(tower: str = "tiny", **changes) -> ModelConfig:
    return ModelConfig(tower=tower, **{**TINY, **changes})


def batch(settings: ModelConfig) -> dict[str, np.ndarray]:
    draws, size = np.random.default_rng(0), settings.rgb_size
    return {
        stream: draws.integers(
            0, 256, (2, 2, size, size, models.input_channels(settings, stream)), "uint8"
        )
        for stream in settings.streams
    }


def trained(network: keras.Model, x: dict, steps: int = 2) -> tuple[list, list]:
    """Losses and gradients of some steps, and all variables after them."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = network(x, training=True)["logits"]
            loss = tf.reduce_sum(tf.square(logits - 1.0))
        gradients = tape.gradient(loss, network.trainable_variables)
        for weight, gradient in zip(
            network.trainable_variables, gradients, strict=True
        ):
            weight.assign_sub(0.001 * gradient)
        return [loss, *gradients]

    steps = [[np.array(value) for value in step()] for _ in range(steps)]
    return steps, [np.array(value) for value in network.variables]


def both(settings: ModelConfig, prepare=lambda network: None) -> tuple:
    """The same training, plain and with towers that are computed again."""
    results = []
    for recompute in (False, True):
        keras.utils.set_random_seed(0)
        network = models.build(settings, classes=3)
        prepare(network)
        if recompute:
            assert models.recompute_towers(network) > 2
        paths = [weight.path for weight in network.weights]
        results.append((*trained(network, batch(settings)), paths))
    return tuple(results)


def assert_equal(plain: tuple, again: tuple) -> None:
    assert again[2] == plain[2]
    for expected, received in zip(plain[0], again[0], strict=True):
        for a, b in zip(expected, received, strict=True):
            np.testing.assert_array_equal(b, a)
    for a, b in zip(plain[1], again[1], strict=True):
        np.testing.assert_array_equal(b, a)


def test_the_same_losses_gradients_and_statistics():
    """Guards against statistics that are moved twice and paths that change."""
    plain, again = both(config())
    assert_equal(plain, again)
    assert np.all(np.isfinite(plain[0][0][0]))


def test_the_same_with_frozen_layers():
    def prepare(network):
        for stream in ("rgb", "flow"):
            models.freeze(network.get_layer(f"{stream}_features").layer, 0.5, True)

    plain, again = both(config(), prepare)
    assert len(plain[0][0]) < len(plain[2])
    assert_equal(plain, again)


def test_dropped_branches_are_the_same_in_both_passes():
    """Guards against Keras' way, which draws a second one in the backward pass."""
    masks = []
    for recompute in (False, True):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((8,), dtype="uint8")
        x = keras.layers.Rescaling(1.0)(inputs)
        for number in range(3):
            y = keras.layers.Dense(8, name=f"dense_{number}")(x)
            y = keras.layers.Dropout(0.5, noise_shape=(None, 1))(y)
            x = keras.layers.Add(name=f"add_{number}")([x, y])
        model = keras.Model(inputs, x)
        call = RecomputedTower(model) if recompute else model
        options = {} if recompute else {"training": True}
        images = tf.ones((4, 8), "uint8")
        for _ in range(2):  # eager, and so step by step
            with tf.GradientTape() as tape:
                y = tf.reduce_sum(call(images, **options))
            gradients = tape.gradient(y, model.trainable_variables)
        masks.append([y, *gradients, *model.non_trainable_variables])
    for a, b in zip(*masks, strict=True):
        np.testing.assert_array_equal(b, a)


def test_off_at_inference_and_when_undone():
    settings = config()
    network = models.build(settings, classes=3)
    expected = network(batch(settings))["scores"]
    models.recompute_towers(network)
    np.testing.assert_array_equal(network(batch(settings))["scores"], expected)
    models.recompute_towers(network, on=False)
    assert network.get_layer("rgb_features").recomputed is None


def test_files_and_copies_do_not_know_of_it(tmp_path):
    settings = config()
    network, other = (models.build(settings, classes=3) for _ in range(2))
    models.recompute_towers(network)
    network.save_weights(tmp_path / "network.weights.h5")
    other.load_weights(tmp_path / "network.weights.h5")
    for a, b in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    assert [w.path for w in loaded.weights] == [w.path for w in other.weights]
    models.recompute_towers(other)
    models.copy_by_name(network, other)


def test_blocks_are_few_and_cover_the_tower():
    tower = models.build_tower(ModelConfig(tower="resnet50", rgb_size=64), "rgb")
    blocks = split(tower)
    names = [layer.name for block in blocks for layer in block.layers]
    assert sorted(names) == sorted(layer.name for layer in tower.layers[1:])
    assert 4 < len(blocks) < 16
    assert [block.layers[-1].name for block in blocks][0] == "preprocess"
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.output is after.input


def test_a_tower_that_cannot_be_cut_is_refused():
    shared = keras.layers.Dense(4)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)), name="twice")
    with pytest.raises(UserError, match="each called once.*Received: twice"):
        split(model)


SCRIPT = """
import keras
import numpy as np
from stfn_keras import models
from stfn_keras.config import ModelConfig

config = ModelConfig(network="spatial", tower="tiny", segments=2, rgb_size=16)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
draws = np.random.default_rng(0)
x = {"rgb": draws.integers(0, 256, (4, 2, 16, 16, 3), "uint8")}
results = []
for recompute in (False, True):
    keras.utils.set_random_seed(0)
    model = models.build(config, classes=3)
    if recompute:
        assert models.recompute_towers(model) > 2
    model.compile(keras.optimizers.SGD(0.01), loss={"logits": loss})
    model.fit(x, {"logits": np.array([0, 1, 2, 0])}, batch_size=2, verbose=0)
    results.append([np.array(w) for w in model.variables])
for a, b in zip(*results):
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
print("the same")
"""


@pytest.mark.slow
def test_the_same_under_jax():
    pytest.importorskip("jax")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "the same" in done.stdout
