"""Steps under TensorFlow, on the devices of a `tf.distribute` strategy.

    engine = TensorFlowEngine.open(MachineConfig())

Gradients are summed over all replicas before they are clipped, so that a batch divided
among devices gives the update of one device (Keras' own optimisers clip before).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.config import MachineConfig
from stfn_keras.data.share import WHOLE, Share
from stfn_keras.models import synchronize_batchnorm
from stfn_keras.training.engines.division import divided, padded_batches
from stfn_keras.training.engines.engine import Fitted, MakeBatches
from stfn_keras.training.engines.fused_batchnorm import fused_batchnorm
from stfn_keras.training.engines.strategy import open_strategy
from stfn_keras.training.engines.workers import Workers, naming_lost_workers
from stfn_keras.training.state import dropout_states

Tensors = dict[str, tf.Tensor]
SEEDS_PER_REPLICA = 7_368_787  # between the dropout seeds of two replicas; a prime


class TensorFlowEngine:
    """One device or several, as the strategy says."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.replicas = int(strategy.num_replicas_in_sync)
        resolver = strategy.cluster_resolver
        self._workers = Workers.from_environment() if resolver else None
        self.is_chief = not self._workers or self._workers.index == 0

    @classmethod
    def open(cls, machine: MachineConfig) -> "TensorFlowEngine":
        """The engine that the settings ask for."""
        return cls(open_strategy(machine))

    def scope(self) -> AbstractContextManager:
        """Within it networks and optimisers are built."""
        return self.strategy.scope()

    def batches(self, make: MakeBatches, padded: bool = False) -> Iterable[Any]:
        """Batches as the steps take them."""
        if self.replicas == 1:
            return make(WHOLE)

        workers = len(self._workers.addresses) if self._workers else 1
        index = self._workers.index if self._workers else 0
        local = self.replicas // workers
        data = make(Share(index, workers))
        if padded:
            most = int(make(Share(0, workers)).cardinality())
            data = padded_batches(data, local, most)
        if local == 1:  # every worker has as many batches: none need ask the others
            return data
        data = divided(data, local)
        return self.strategy.distribute_datasets_from_function(lambda _: data)

    def steps(self, fitted: Fitted) -> "TensorFlowSteps":
        """The steps of a stage."""
        return TensorFlowSteps(self, fitted)

    def first_batch(self, batch: Any) -> tuple:
        """What this process sees of a batch: arrays (inputs, labels, ...)."""

        def joined(values: Any) -> np.ndarray:
            parts = self.strategy.experimental_local_results(values)
            return np.concatenate([np.asarray(part) for part in parts])

        return tf.nest.map_structure(joined, batch)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What all workers do at the same time: it begins and ends for all at once."""
        if self._workers is None:
            yield
            return
        with naming_lost_workers():
            int(self._added_up(tf.constant(1, tf.int64)))
            yield
            int(self._added_up(tf.constant(1, tf.int64)))

    def agree(self, number: int) -> bool:
        """Whether all workers have this number; to be asked by all at the same time."""
        if self._workers is None:
            return True
        with naming_lost_workers():
            total = int(self._added_up(tf.constant(number, tf.int64)))
        return total == number * self.replicas

    @tf.function
    def _added_up(self, number: tf.Tensor) -> tf.Tensor:
        """Every replica's number in one."""
        numbers = self.strategy.run(tf.identity, args=(number,))
        return self.strategy.reduce("SUM", numbers, axis=None)


class TensorFlowSteps:
    """The steps of one stage as two graphs."""

    def __init__(self, engine: TensorFlowEngine, fitted: Fitted) -> None:
        self._engine = engine
        self._fitted = fitted
        self._variables = [v.value for v in fitted.model.trainable_variables]
        self.train = self._on_replicas(self._train)
        self.evaluate = self._on_replicas(self._evaluate)

    def _on_replicas(self, step: Callable) -> Callable[[Any], Tensors]:
        strategy, model = self._engine.strategy, self._fitted.model
        several = self._engine.replicas > 1
        on_cpu = not tf.config.list_physical_devices("GPU")
        # XLA is slower than plain TensorFlow on CPU; replicas meet within a step,
        # which a function inside one cannot.
        # Under XLA parts of a batch would be computed as large as the whole.
        if not several and not on_cpu and self._fitted.accumulate_steps == 1:
            step = tf.function(step, jit_compile=True)

        @tf.function(reduce_retracing=True)
        def on_all(batch: Any) -> Tensors:
            if several:  # for this trace alone: it must not be saved with the network
                synchronize_batchnorm(model)
            try:
                with fused_batchnorm(model) if on_cpu else nullcontext():
                    sums = strategy.run(step, args=(batch,))
            finally:
                if several:
                    synchronize_batchnorm(model, on=False)
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
        self._move_dropout()
        if fitted.accumulate_steps > 1:
            gradients, sums = self._in_parts(batch, videos)
        else:
            gradients, sums = self._gradients(batch, videos)
        self._move_dropout(back=True)
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        fitted.optimizer.apply(gradients, fitted.model.trainable_variables)
        return sums

    def _move_dropout(self, back: bool = False) -> None:
        """Let each replica draw masks of its own during a step.

        Between steps the states are equal, as on one device.
        """
        if self._engine.replicas == 1:
            return
        context = tf.distribute.get_replica_context()
        number = tf.cast(context.replica_id_in_sync_group, tf.int64)
        apart = -SEEDS_PER_REPLICA if back else SEEDS_PER_REPLICA
        move = tf.stack([apart * number, tf.zeros_like(number)])
        for state in dropout_states(self._fitted.model):
            state.assign(state.value + tf.cast(move, state.dtype))

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

        if self._engine.replicas > 1:
            # Replicas meet in batch normalisation, which a loop's body cannot.
            found = part(tf.constant(0))
            for number in range(1, parts):
                with tf.control_dependencies(tf.nest.flatten(found)):
                    number = tf.identity(number)
                found = tf.nest.map_structure(tf.add, found, part(number))
            return found
        _, found = tf.while_loop(
            lambda number, _: number < parts,
            add,
            (tf.constant(1), part(tf.constant(0))),
            parallel_iterations=1,
        )
        return found
