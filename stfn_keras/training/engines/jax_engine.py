"""Steps under JAX: one compiled function of the state and a batch, on all devices.

engine = JaxEngine.open(MachineConfig())
"""

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from stfn_keras.config import MachineConfig
from stfn_keras.data.share import WHOLE
from stfn_keras.errors import UserError
from stfn_keras.training.engines.determinism import make_deterministic
from stfn_keras.training.engines.division import padded_batches
from stfn_keras.training.engines.engine import Fitted, MakeBatches

Arrays = list[jax.Array]


class JaxEngine:
    """One device, or every one that JAX sees: each has the network and a part of it."""

    def __init__(self, devices: int = 1) -> None:
        self.replicas = devices
        self.is_chief = True
        self._distribution: keras.distribution.DataParallel | None = None
        self.part = self.whole = None  # how a batch and how weights lie on devices
        if devices > 1:
            self._distribution = keras.distribution.DataParallel(
                devices=keras.distribution.list_devices()[:devices],
                auto_shard_dataset=False,
            )
            mesh = self._distribution.device_mesh.backend_mesh
            self.part = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
            self.whole = NamedSharding(mesh, PartitionSpec())

    @classmethod
    def open(cls, machine: MachineConfig) -> "JaxEngine":
        """The engine that the settings ask for.

        Raises:
            UserError: JAX has no such strategy, or runs already with other devices.
        """
        if machine.strategy in ("mirrored", "multi_worker"):
            raise UserError(
                f"--strategy={machine.strategy} needs KERAS_BACKEND=tensorflow. "
                "Received: jax, which has data_parallel for several devices of one "
                "machine"
            )
        if machine.deterministic:
            make_deterministic()  # tf.data reads for JAX too
        _divide_cpu(machine.cpu_devices)
        return cls(1 if machine.strategy == "one_device" else jax.local_device_count())

    def scope(self) -> AbstractContextManager:
        """Within it networks and optimisers are built."""
        if self._distribution is None:
            return contextlib.nullcontext()
        return self._distribution.scope()

    def together(self) -> AbstractContextManager:
        """What all workers do at the same time: here there is one."""
        return contextlib.nullcontext()

    def agree(self, number: int) -> bool:
        """Whether all workers have this number: here there is one."""
        return True

    def batches(self, make: MakeBatches, padded: bool = False) -> Iterable[Any]:
        """Batches as the steps take them."""
        data = make(WHOLE)
        if self.part is None:
            return data.as_numpy_iterator()
        if padded:
            data = padded_batches(data, self.replicas, int(data.cardinality()))
        return (jax.device_put(b, self.part) for b in data.as_numpy_iterator())

    def steps(self, fitted: Fitted) -> "JaxSteps":
        """The steps of a stage."""
        return JaxSteps(fitted, self.whole)

    def first_batch(self, batch: Any) -> tuple:
        """What this process sees of a batch: arrays (inputs, labels, ...)."""
        return jax.tree.map(np.asarray, batch)


def _divide_cpu(devices: int) -> None:
    if devices == 1:
        return
    try:
        jax.config.update("jax_num_cpu_devices", devices)
    except RuntimeError as error:
        if jax.local_device_count("cpu") == devices:
            return
        raise UserError(
            f"--cpu_devices={devices} must be set before JAX computes anything; it "
            "runs already with other devices: start a new process"
        ) from error


class JaxSteps:
    """The steps of one stage; the state lives here until `sync`."""

    def __init__(self, fitted: Fitted, whole: NamedSharding | None = None) -> None:
        self._fitted = fitted
        self._state: tuple[Arrays, Arrays, Arrays] | None = None
        self._train = jax.jit(
            partial(_train, fitted), donate_argnums=0, out_shardings=whole
        )
        self._evaluate = jax.jit(partial(_evaluate, fitted), out_shardings=whole)

    def _variables(self) -> Iterator[list]:
        model, optimizer = self._fitted.model, self._fitted.optimizer
        yield model.trainable_variables
        yield model.non_trainable_variables
        yield optimizer.variables

    def _loaded(self) -> tuple[Arrays, Arrays, Arrays]:
        if self._state is None:
            # Copies: a step gives the memory of what it is given to its results.
            found = [[jnp.copy(v.value) for v in some] for some in self._variables()]
            self._state = found[0], found[1], found[2]
        return self._state

    def train(self, batch: tuple) -> dict[str, jax.Array]:
        """Update the weights by one batch; its sums."""
        self._state, sums = self._train(self._loaded(), batch)
        return sums

    def evaluate(self, batch: tuple) -> dict[str, jax.Array]:
        """The sums of a batch that nothing is learnt from; after `sync`."""
        trained, other, _ = [[v.value for v in some] for some in self._variables()]
        return self._evaluate(trained, other, batch)

    def sync(self) -> None:
        """Bring the state into the Keras variables, which may then be changed."""
        if self._state is None:
            return
        for variables, arrays in zip(self._variables(), self._state, strict=True):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        self._state = None


def _evaluate(fitted: Fitted, trained: Arrays, other: Arrays, batch: tuple) -> dict:
    inputs, labels, *shown = batch
    outputs, _ = fitted.model.stateless_call(trained, other, inputs, training=False)
    return fitted.objective(outputs, labels, None, *shown)[1]


def _train(fitted: Fitted, state: tuple, batch: tuple) -> tuple[tuple, dict]:
    trained, other, kept = state
    parts = fitted.accumulate_steps
    videos = batch[1]["logits"].shape[0]

    def loss_of(trained: Arrays, other: Arrays, batch: tuple) -> tuple:
        inputs, labels, *weights = batch
        outputs, other = fitted.model.stateless_call(
            trained, other, inputs, training=True
        )
        loss, sums = fitted.objective(outputs, labels, *weights)
        known = zip(fitted.optimizer.variables, kept, strict=True)
        with keras.StatelessScope(state_mapping=list(known)):
            loss = fitted.optimizer.scale_loss(loss / videos)
        return loss, (other, sums)

    gradients_of = jax.value_and_grad(loss_of, has_aux=True)
    if parts == 1:
        (_, (other, sums)), gradients = gradients_of(trained, other, batch)
    else:

        def in_parts(values: jax.Array) -> jax.Array:
            # (videos, ...) -> (parts, videos of a part, ...); a part takes every
            # parts-th video, so that each device has as many of it.
            return values.reshape(-1, parts, *values.shape[1:]).swapaxes(0, 1)

        cut = jax.tree.map(in_parts, batch)

        def part(carried: tuple, batch: tuple) -> tuple:
            other, before = carried
            (_, (other, sums)), gradients = gradients_of(trained, other, batch)
            return (other, jax.tree.map(jnp.add, before, (gradients, sums))), None

        first = jax.tree.map(lambda values: values[0], cut)
        rest = jax.tree.map(lambda values: values[1:], cut)
        (_, (other, sums)), gradients = gradients_of(trained, other, first)
        (other, (gradients, sums)), _ = jax.lax.scan(
            part, (other, (gradients, sums)), rest
        )
    trained, kept = fitted.optimizer.stateless_apply(kept, gradients, trained)
    return (trained, other, kept), sums
