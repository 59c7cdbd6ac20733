"""Fit one stage: an epoch at a time, resumable, with one progress bar.

fit_stage(stage, model, batches=lambda epoch: dataset)
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from stfn_keras.config import StageConfig
from stfn_keras.errors import UserError
from stfn_keras.training import history
from stfn_keras.training.board import StageBoard
from stfn_keras.training.checkpoint import StageCheckpoints
from stfn_keras.training.metrics import MeanClassAccuracy
from stfn_keras.training.optimizers import exchange_averages, make_optimizer
from stfn_keras.training.progress import Progress

# Epochs shorter than this share a checkpoint; a new best one always has its own.
CHECKPOINT_SECONDS = 20.0
# Keras counts a draw up from the second number of the state: epochs must not meet.
DRAWS_PER_EPOCH = 1_000_003
STREAM_HEADS = ("rgb_logits", "flow_logits")


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
    """The network with the outputs that the loss reads, sharing its layers."""
    heads = [h for h in STREAM_HEADS if h in network.output] if stream_loss else []
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


def compile_stage(model: keras.Model, stage: Stage, steps: int) -> None:
    """Compile with the stage's loss, optimiser and metrics."""
    config = stage.config

    def loss() -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        )

    weights = {n: 1.0 if n == "logits" else stage.stream_loss for n in model.output}
    model.compile(
        optimizer=make_optimizer(config, steps, stage.rate_factors),
        loss={name: loss() for name in model.output},
        loss_weights=weights,
        metrics={
            "logits": [
                keras.metrics.CategoricalAccuracy(name="top1"),
                MeanClassAccuracy(len(stage.labels)),
            ]
        },
        # XLA is slower than plain TensorFlow on CPU.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )
    model.optimizer.build(model.trainable_variables)


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Make dropout a function of (seed, epoch): no file keeps Keras' own state."""
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign([seed * 1009 + index, epoch * DRAWS_PER_EPOCH])


def _plain(logs: dict[str, Any]) -> dict[str, float]:
    """Metric names without the name of the output they belong to."""
    return {k.replace("logits_top1", "top1").replace("logits_mean_class", "mean_class"):
            float(v) for k, v in logs.items()}  # fmt: skip


def fit_stage(
    stage: Stage,
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset | None = None,
) -> None:
    """Train to the stage's end, from its last checkpoint if there is one.

    Args:
        stage: What to run and where.
        model: What `fitted_model` gave; trained in place.
        batches: Gives the batches of an epoch, counted from 0; as many in each.
        validation: Batches to validate on; the best epoch by top-1 is then the
            stage's result, without it the last epoch is.

    Raises:
        UserError: The loss is no longer finite, or every checkpoint is damaged.
    """
    steps = int(batches(0).cardinality())  # known: the pipeline counts its batches
    compile_stage(model, stage, steps)
    kept = stage.checkpoints
    done = kept.restore(model)
    if done:
        exchange_averages(model)  # the weights of a checkpoint are the averages
    if not stage.is_over(kept, done):
        epochs, batch = stage.config.epochs, stage.config.batch
        boards = stage.run_folder / "tensorboard"
        saved = time.monotonic()
        with (
            Progress(stage.name, epochs, done, steps, batch) as progress,
            StageBoard(boards, stage.name, stage.labels) as board,
        ):
            for epoch in range(done, epochs):
                seed_dropout(model, stage.seed, epoch)
                data, number = batches(epoch), epoch + 1
                row = _fit_epoch(model, data, validation, epoch, progress)
                board.scalars(row, number)
                row_of = {"stage": stage.name, "epoch": number}
                history.append(stage.history, {**row_of, **row})
                score = row.get("val_top1")
                overdue = time.monotonic() - saved > CHECKPOINT_SECONDS
                if number == epochs or overdue or kept.is_better(score):
                    kept.save(model, number, score)
                    saved = time.monotonic()
                over = stage.is_over(kept, number)
                if over or board.due(number, epochs):
                    board.pictures(model, data, validation, number)
                if over:
                    break
                exchange_averages(model)  # training goes on with the weights
    if not kept.finished:
        if not kept.kept:  # no epochs asked for: the network as it was built
            kept.save(model, 0, None)
        kept.finish()
    history.draw(stage.history, stage.run_folder / "history.png")


def _fit_epoch(
    model: keras.Model,
    data: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    epoch: int,
    progress: Progress,
) -> dict[str, float]:
    began = time.monotonic()
    fitted = model.fit(
        data,
        initial_epoch=epoch,
        epochs=epoch + 1,
        verbose=0,
        shuffle=False,
        callbacks=[progress],
    )
    row = _plain({key: values[-1] for key, values in fitted.history.items()})
    if not math.isfinite(row["loss"]):
        raise UserError(
            f"the {progress.name} stage's loss became {row['loss']} in epoch "
            f"{epoch + 1}; nothing of that epoch was kept. Lower "
            f"--{progress.name}_rate or set --{progress.name}_clip_norm, in a new --out"
        )
    exchange_averages(model)  # the averages are what is validated and kept
    if validation is not None:
        logs = model.evaluate(validation, verbose=0, return_dict=True)
        row.update({f"val_{key}": value for key, value in _plain(logs).items()})
    row = {key: round(value, 6) for key, value in row.items()}
    row["rate"] = float(model.optimizer.learning_rate)
    row["seconds"] = round(time.monotonic() - began, 2)
    return row
