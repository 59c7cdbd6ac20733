"""Networks in half precision: what is float32 stays so, and a step is finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from models.networks.every_network import CLIPS

from stfn_keras import models
from stfn_keras.config import NETWORKS, ModelConfig, StageConfig
from stfn_keras.errors import UserError
from stfn_keras.models.layer_scale import LayerScale
from stfn_keras.training.optimizers import make_optimizer
from stfn_keras.training.precision import loss_scaled, precision_scope

HALF = ("bfloat16", "float16")
EVERYTHING = {"feature_norm": "layer", "position": True,
              "aggregate": "attention", "modality_dropout": 0.5}  # fmt: skip


def built(precision: str, **changes) -> tuple[keras.Model, dict]:
    """A tiny network and a batch for it."""
    settings = {"tower": "tiny", "segments": 2, "rgb_size": 16, "pairs": 1, "blocks": 1}
    config = ModelConfig(**{**settings, **changes})
    keras.utils.set_random_seed(0)
    with precision_scope(precision):
        network = models.build(config, classes=3)
    draws = np.random.default_rng(0)
    x = {
        stream: draws.integers(0, 256, (2, *network.input[stream].shape[1:]), "uint8")
        for stream in config.inputs
    }
    return network, x


def gradients_of(network: keras.Model, x: dict, scale):
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = network(x, training=True)["logits"]
            loss = scale(tf.reduce_mean(tf.square(logits - 1.0)))
        return tape.gradient(loss, network.trainable_variables)

    return step


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize(
    "name", [n for n, e in NETWORKS.items() if e.pooled and n not in CLIPS]
)
def test_every_network_takes_a_step(name, precision):
    steps = 2 if name == "four_stream" else 1
    changes = {"frames": steps, "pairs": steps, **EVERYTHING}
    network, x = built(precision, network=name, **changes)
    tower = network.get_layer(f"{next(iter(x))}_features").layer
    assert tower.get_layer("conv1").compute_dtype == precision
    assert all(v.dtype == "float32" for v in network.weights)
    outputs = network(x)
    assert {tensor.dtype for tensor in outputs.values()} == {tf.float32}
    optimizer = loss_scaled(
        make_optimizer(StageConfig(rate=1e-3, optimizer="sgd"), 1), precision
    )
    optimizer.build(network.trainable_variables)
    before = [np.array(v) for v in network.trainable_variables]
    step = gradients_of(network, x, optimizer.scale_loss)
    for _ in range(8):  # float16 may leave out some while it finds its factor
        optimizer.apply(step())
    assert 1 <= int(optimizer.iterations) <= 8
    after = [np.array(v) for v in network.trainable_variables]
    assert all(np.all(np.isfinite(value)) for value in after)
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.parametrize(
    "tower",
    [
        "mobilenet_v2",
        "efficientnet_lite0",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("resnet50", "inception_v3", "convnext_tiny")
        ),
    ],
)
def test_towers_scale_in_float32_and_give_float32(tower):
    """Guards against pixels rounded to 8 bits of mantissa and features to less."""
    config = ModelConfig(tower=tower, rgb_size=models.TOWERS[tower].minimum)
    with precision_scope("bfloat16"):
        network = models.build_tower(config, "rgb")
    assert network.outputs[0].dtype == "float32"
    assert network.get_layer("preprocess").output.dtype == "bfloat16"
    weighted = models.weighted_layers(network)
    assert all(w.dtype == "float32" for layer in weighted for w in layer.weights)
    assert {layer.compute_dtype for layer in weighted} >= {"bfloat16"}
    size = models.TOWERS[tower].minimum
    features = network(np.full((1, size, size, 3), 200, "uint8"))
    assert features.dtype == tf.float32
    assert np.all(np.isfinite(features))


@pytest.mark.parametrize("precision", HALF)
def test_the_scores_are_those_of_float32_but_for_rounding(precision, tmp_path):
    network, x = built(precision, **EVERYTHING)
    network.save_weights(tmp_path / "half.weights.h5")
    plain, _ = built("float32", **EVERYTHING)
    plain.load_weights(tmp_path / "half.weights.h5")
    for a, b in zip(network.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(network(x)["scores"], plain(x)["scores"], atol=0.02)
    assert plain.get_layer("rgb_dynamics").compute_dtype == "float32"


def test_a_small_factor_is_not_rounded():
    """ConvNeXt's factors start at 1e-6, of which float16 would keep four bits."""
    layer = LayerScale(1e-6, dtype="mixed_float16")
    x = np.full((1, 1), 4096.0, "float16")
    y = layer(x)
    assert y.dtype == tf.float16
    np.testing.assert_allclose(y, 4096e-6, rtol=1e-3)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_loss_scaling_leaves_clipping_decay_factors_and_averages_alone(name):
    """The same update as without it, from gradients that it scaled."""
    config = StageConfig(
        optimizer=name, rate=0.1, epochs=1, weight_decay=0.1, clip_norm=1.0, ema=0.5
    )
    results = []
    for precision in ("float32", "float16"):
        weights = [
            keras.Variable(np.ones(3, "float32"), name=n) for n in ("kernel", "bias")
        ]
        inner = make_optimizer(config, 4, {weights[0].path: 5.0})
        optimizer = loss_scaled(inner, precision)
        optimizer.build(weights)
        for k in (1, 2):
            factor = float(optimizer.scale_loss(np.float32(1.0)))
            assert factor == (2.0**15 if precision == "float16" else 1.0)
            optimizer.apply([np.full(3, 0.3 * k * factor, "float32") for _ in weights])
        averages = inner._model_variables_moving_average
        results.append([*map(np.array, weights), *map(np.array, averages)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)
        assert not np.any(a == 1.0)


def test_an_overflow_changes_nothing_but_the_factor():
    config = StageConfig(optimizer="adam", rate=0.1, epochs=1, ema=0.5)
    weight = keras.Variable(np.ones(2, "float32"))
    optimizer = loss_scaled(make_optimizer(config, 4), "float16")
    optimizer.build([weight])
    optimizer.apply([np.full(2, 2.0**15, "float32")])
    inner = optimizer.inner_optimizer
    before = [np.array(v) for v in (weight, *inner.variables)]
    optimizer.apply([np.array([1.0, np.inf], "float32")])
    after = [np.array(v) for v in (weight, *inner.variables)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(b, a)
    assert float(optimizer.scale_loss(1.0)) == 2.0**14
    optimizer.apply([np.full(2, 2.0**14, "float32")])
    assert int(inner.iterations) == 2


def test_float16_on_a_processor_is_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr(logging, "log_first_n", lambda *args: said.append(args[1]))
    with precision_scope("float16"):
        assert keras.config.dtype_policy().name == "mixed_float16"
    assert keras.config.dtype_policy().name == "float32"
    with precision_scope("bfloat16"):
        pass
    assert len(said) == 1
    assert "4 to 13 times slower" in said[0]


def test_an_unknown_precision():
    with pytest.raises(UserError, match="float32, bfloat16, float16.*half"):
        with precision_scope("half"):
            pass
    assert keras.config.dtype_policy().name == "float32"
