"""Batch normalisation in training as one operation, as TensorFlow has it for CPUs.

    with fused_batchnorm(model):
        outputs = model(inputs, training=True)      # while a step is traced

Keras 3 writes it out as means, differences and products: the same numbers but for
rounding, in a dozen passes over the activations (benchmarks/README.md). A graph keeps
what it was traced with, and nothing of it is stored with the network.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

# TensorFlow's operation raises a smaller epsilon to this.
LEAST_EPSILON = 1.001e-5


@contextmanager
def fused_batchnorm(model: keras.Model) -> Iterator[None]:
    """Let the model's batch normalisations compute so, wherever they can.

    They can in float32, with the channels last of four axes, over one device. A frozen
    one, which only scales and shifts, stays as it is.
    """
    layers = [layer for layer in model._flatten_layers() if _can_be_fused(layer)]
    for layer in layers:
        layer.call = _fused(layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call  # the instance's, before its class's


def _can_be_fused(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.trainable
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype == "float32"
        and layer.epsilon >= LEAST_EPSILON
    )


def _fused(layer: Any, plain: Callable) -> Callable:
    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        rank, last = len(inputs.shape), len(inputs.shape) - 1
        if (
            not training
            or mask is not None
            or rank != 4
            or layer.axis not in (-1, last)
        ):
            return plain(inputs, training=training, mask=mask)
        now = keras.ops.convert_to_tensor  # a tensor whoever keeps the variables
        mean, variance = now(layer.moving_mean), now(layer.moving_variance)
        outputs, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            now(layer.gamma) if layer.scale else tf.ones_like(mean),
            now(layer.beta) if layer.center else tf.zeros_like(mean),
            epsilon=layer.epsilon,
            is_training=True,
        )
        # The operation's is the unbiased estimate; Keras keeps the batch's own.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        batch_variance *= (count - 1.0) / count
        share = layer.momentum
        layer.moving_mean.assign(mean * share + batch_mean * (1.0 - share))
        layer.moving_variance.assign(variance * share + batch_variance * (1.0 - share))
        return outputs

    return call
