"""Batch normalisation as one operation computes what Keras' layer computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.training.engines.fused_batchnorm import fused_batchnorm


def network(**options):
    layer = keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-3,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.3),
        beta_initializer="random_normal",
        **options,
    )
    inputs = keras.Input((4, 5, 6))
    return keras.Model(inputs, layer(inputs)), layer


def step(model, x, wrapped):
    """Outputs, gradients and moving statistics of one training step, and its graph."""

    @tf.function
    def traced(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            loss = tf.reduce_sum(tf.sin(y))
        weights = [v.value for v in model.trainable_variables]
        return y, tape.gradient(loss, [x, *weights])

    if wrapped:
        with fused_batchnorm(model):
            graph = traced.get_concrete_function(x).graph
    else:
        graph = traced.get_concrete_function(x).graph
    y, gradients = traced(x)
    moved = [v.numpy() for v in model.non_trainable_variables]
    kinds = {operation.type for operation in graph.get_operations()}
    return [y, *gradients, *moved], "FusedBatchNormV3" in kinds


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_outputs_gradients_and_statistics_are_those_of_keras(options):
    keras.utils.set_random_seed(0)
    x = tf.constant(np.random.default_rng(0).normal(2.0, 3.0, (3, 4, 5, 6)), tf.float32)
    model, _ = network(**options)
    other, _ = network(**options)
    other.set_weights(model.get_weights())
    plain, was_fused = step(model, x, wrapped=False)
    assert not was_fused
    fused, was_fused = step(other, x, wrapped=True)
    assert was_fused
    for one, same in zip(plain, fused, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-4, atol=1e-4)


def test_frozen_and_synchronised_layers_and_inference_stay_as_they_are():
    x = tf.ones((2, 4, 5, 6))
    model, layer = network()
    layer.trainable = False
    assert not step(model, x, wrapped=True)[1]
    layer.trainable, layer.synchronized = True, True
    with fused_batchnorm(model):
        assert "call" not in vars(layer)
    layer.synchronized = False
    plain = model(x, training=False)
    with fused_batchnorm(model):
        assert "call" in vars(layer)
        np.testing.assert_array_equal(model(x, training=False), plain)
    assert "call" not in vars(layer)


def test_a_network_is_saved_and_loaded_after_it(tmp_path):
    model, _ = network()
    x = tf.random.normal((2, 4, 5, 6))
    step(model, x, wrapped=True)
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(model(x), loaded(x))
