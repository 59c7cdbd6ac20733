"""One stage of a run: its settings, and what its steps are computed with.

stage = work.stage("rgb")
model = fitted_model(network, stage.stream_loss)
fitted = prepared(model, stage, steps_per_epoch)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from stfn_keras.config import DEFAULT_MACHINE, MachineConfig, StageConfig
from stfn_keras.data.share import Share
from stfn_keras.training.checkpoint import StageCheckpoints
from stfn_keras.training.engines.engine import Fitted
from stfn_keras.training.objective import Objective
from stfn_keras.training.optimizers import make_optimizer
from stfn_keras.training.precision import loss_scaled
from stfn_keras.training.state import dropout_states

# Keras counts a draw up from the second number of the state: epochs must not meet.
DRAWS_PER_EPOCH = 1_000_003

# Gives a share of the batches of an epoch, from a step on: (epoch, step, share).
TrainingBatches = Callable[[int, int, Share], tf.data.Dataset]
# Gives a share of the videos that are validated on.
ValidationBatches = Callable[[Share], tf.data.Dataset]


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, settings and where it writes."""

    name: str
    config: StageConfig
    run_folder: Path
    labels: tuple[str, ...]
    seed: int = 0
    stream_loss: float = 0.0
    rate_factors: Mapping[str, float] = field(default_factory=dict)  # by variable path
    machine: MachineConfig = DEFAULT_MACHINE
    precision: str = "float32"

    @property
    def checkpoints(self) -> StageCheckpoints:
        """The stage's checkpoints as they stand on disk."""
        return StageCheckpoints.open(self.run_folder / "checkpoints" / self.name)

    def is_over(self, kept: StageCheckpoints, done: int) -> bool:
        """Whether `done` epochs are enough: all, or no better one for too long."""
        patience = self.config.patience
        waited = done - kept.best["epoch"] if kept.best else 0
        return done >= self.config.epochs or 0 < patience <= waited

    @property
    def history(self) -> Path:
        """One row per epoch."""
        return self.run_folder / "history.csv"


def fitted_model(network: keras.Model, stream_loss: float) -> keras.Model:
    """The network with the outputs that the loss reads, sharing its layers.

    Besides `logits` these are, with a `stream_loss`, those of all further classifiers.
    """
    further = [name for name in network.output if name.endswith("_logits")]
    heads = further if stream_loss else []
    outputs = {name: network.output[name] for name in ("logits", *heads)}
    return keras.Model(network.input, outputs, name=network.name)


def targets_for(
    model: keras.Model, classes: int, class_weights: tuple[float, ...] = ()
) -> Callable[[Any], tuple]:
    """Map an integer label to what each output of a fitted model is trained on.

    Returns:
        A function to ({output: one-hot label},), and with class weights to
        ({output: one-hot label}, {output: weight of the video}).
    """

    def targets(label: tf.Tensor) -> tuple[dict[str, tf.Tensor], ...]:
        one_hot = {name: tf.one_hot(label, classes) for name in model.output}
        if not class_weights:
            return (one_hot,)
        weight = tf.gather(tf.constant(class_weights, tf.float32), label)
        return one_hot, {name: weight for name in model.output}

    return targets


def prepared(model: keras.Model, stage: Stage, steps: int) -> Fitted:
    """The model with the stage's loss and optimiser, of so many steps an epoch."""
    heads = {n: 1.0 if n == "logits" else stage.stream_loss for n in model.output}
    optimizer = loss_scaled(
        make_optimizer(stage.config, steps, stage.rate_factors), stage.precision
    )
    optimizer.build(model.trainable_variables)
    objective = Objective(heads, len(stage.labels), stage.config.label_smoothing)
    return Fitted(model, objective, optimizer, stage.config.accumulate_steps)


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Make dropout a function of (seed, epoch)."""
    for index, state in enumerate(dropout_states(model)):
        # Within 32 bits, which is what JAX draws from.
        numbers = seed * 1009 + index, epoch * DRAWS_PER_EPOCH
        state.assign([number % 2**32 for number in numbers])
