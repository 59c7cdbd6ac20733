"""Steps under JAX: one compiled function of the state and a batch.

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

from stfn_keras.config import MachineConfig
from stfn_keras.data.share import WHOLE
from stfn_keras.training.engines.engine import Fitted, MakeBatches

Arrays = list[jax.Array]


class JaxEngine:
    """The devices that JAX sees."""

    def __init__(self) -> None:
        self.replicas = 1
        self.is_chief = True

    @classmethod
    def open(cls, machine: MachineConfig) -> "JaxEngine":
        """The engine that the settings ask for."""
        return cls()

    def scope(self) -> AbstractContextManager:
        """Within it networks and optimisers are built."""
        return contextlib.nullcontext()

    def together(self) -> AbstractContextManager:
        """What all workers do at the same time: here there is one."""
        return contextlib.nullcontext()

    def batches(self, make: MakeBatches, padded: bool = False) -> Iterable[Any]:
        """Batches as the steps take them."""
        return make(WHOLE).as_numpy_iterator()

    def steps(self, fitted: Fitted) -> "JaxSteps":
        """The steps of a stage."""
        return JaxSteps(fitted)

    def first_batch(self, batch: Any) -> tuple:
        """What this process sees of a batch: arrays (inputs, labels, ...)."""
        return jax.tree.map(np.asarray, batch)


class JaxSteps:
    """The steps of one stage; the state lives here until `sync`."""

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._state: tuple[Arrays, Arrays, Arrays] | None = None
        self._train = jax.jit(partial(_train, fitted), donate_argnums=0)
        self._evaluate = jax.jit(partial(_evaluate, fitted))

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
        cut = jax.tree.map(lambda v: v.reshape(parts, -1, *v.shape[1:]), batch)

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
