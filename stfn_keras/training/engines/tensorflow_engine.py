"""Steps under TensorFlow, on the devices of a `tf.distribute` strategy.

    engine = TensorFlowEngine.open(MachineConfig())

Gradients are summed over all replicas before they are clipped, so that a batch divided
among devices gives the update of one device (Keras' own optimisers clip before).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.config import MachineConfig
from stfn_keras.data.share import WHOLE
from stfn_keras.training.engines.engine import Fitted, MakeBatches

Tensors = dict[str, tf.Tensor]


class TensorFlowEngine:
    """One device or several, as the strategy says."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.replicas = int(strategy.num_replicas_in_sync)
        self.is_chief = True

    @classmethod
    def open(cls, machine: MachineConfig) -> "TensorFlowEngine":
        """The engine that the settings ask for."""
        return cls(tf.distribute.get_strategy())

    def scope(self) -> AbstractContextManager:
        """Within it networks and optimisers are built."""
        return self.strategy.scope()

    def batches(self, make: MakeBatches, padded: bool = False) -> Iterable[Any]:
        """Batches as the steps take them."""
        return make(WHOLE)

    def steps(self, fitted: Fitted) -> "TensorFlowSteps":
        """The steps of a stage."""
        return TensorFlowSteps(self, fitted)

    def first_batch(self, batch: Any) -> tuple:
        """What this process sees of a batch: arrays (inputs, labels, ...)."""
        return tf.nest.map_structure(np.asarray, batch)


class TensorFlowSteps:
    """The steps of one stage as two graphs."""

    def __init__(self, engine: TensorFlowEngine, fitted: Fitted) -> None:
        self._engine = engine
        self._fitted = fitted
        self._variables = [v.value for v in fitted.model.trainable_variables]
        # XLA is slower than plain TensorFlow on CPU.
        compiled = bool(tf.config.list_physical_devices("GPU"))
        self.train = self._on_replicas(tf.function(self._train, jit_compile=compiled))
        self.evaluate = self._on_replicas(
            tf.function(self._evaluate, jit_compile=compiled)
        )

    def _on_replicas(self, step: Callable) -> Callable[[Any], Tensors]:
        strategy = self._engine.strategy

        @tf.function(reduce_retracing=True)
        def on_all(batch: Any) -> Tensors:
            sums = strategy.run(step, args=(batch,))
            return {k: strategy.reduce("SUM", v, axis=None) for k, v in sums.items()}

        return on_all

    def sync(self) -> None:
        """Do nothing: the variables are the weights."""

    def _evaluate(self, batch: tuple) -> Tensors:
        inputs, labels, *shown = batch
        outputs = self._fitted.model(inputs, training=False)
        return self._fitted.objective(outputs, labels, None, *shown)[1]

    def _train(self, batch: tuple) -> Tensors:
        fitted = self._fitted
        videos = tf.shape(batch[1]["logits"])[0]
        if fitted.accumulate_steps > 1:
            gradients, sums = self._in_parts(batch, videos)
        else:
            gradients, sums = self._gradients(batch, videos)
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        fitted.optimizer.apply(gradients, fitted.model.trainable_variables)
        return sums

    def _gradients(
        self, batch: tuple, videos: tf.Tensor
    ) -> tuple[list[tf.Tensor], Tensors]:
        """Gradients of the mean loss over the whole batch, and the part's sums."""
        fitted = self._fitted
        inputs, labels, *weights = batch
        with tf.GradientTape() as tape:
            outputs = fitted.model(inputs, training=True)
            loss, sums = fitted.objective(outputs, labels, *weights)
            loss = loss / tf.cast(videos * self._engine.replicas, loss.dtype)
            loss = fitted.optimizer.scale_loss(loss)
        found = tape.gradient(
            loss, self._variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [tf.convert_to_tensor(gradient) for gradient in found], sums

    def _in_parts(
        self, batch: tuple, videos: tf.Tensor
    ) -> tuple[list[tf.Tensor], Tensors]:
        """The same in several parts, one after another; they may differ by a video."""
        parts = self._fitted.accumulate_steps

        def part(number: tf.Tensor) -> tuple[list[tf.Tensor], Tensors]:
            first, last = number * videos // parts, (number + 1) * videos // parts
            cut = tf.nest.map_structure(lambda values: values[first:last], batch)
            return self._gradients(cut, videos)

        def add(number: tf.Tensor, before: tuple) -> tuple:
            both = tf.nest.map_structure(tf.add, before, part(number))
            return number + 1, both

        _, found = tf.while_loop(
            lambda number, _: number < parts,
            add,
            (tf.constant(1), part(tf.constant(0))),
            parallel_iterations=1,
        )
        return found
