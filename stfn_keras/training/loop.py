"""Fit one stage, step by step: killed anywhere, it goes on where it stopped.

    fit_stage(stage, model, batches)

A step is computed by an engine (`stfn_keras.training.engines`). What a step draws is a
function of the seed, the epoch and the step, so a stage that was killed and continued
trains on the same snippets, crops and dropout masks.
"""

import math
import time

import keras
from absl import logging

from stfn_keras.data.share import Share
from stfn_keras.errors import UserError
from stfn_keras.training import history
from stfn_keras.training.board import StageBoard
from stfn_keras.training.checkpoint import Position
from stfn_keras.training.engines.engine import Engine, Steps
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.memory import estimate, free_memory
from stfn_keras.training.objective import Sums
from stfn_keras.training.optimizers import exchange_averages
from stfn_keras.training.progress import Progress
from stfn_keras.training.stage import (
    Stage,
    TrainingBatches,
    ValidationBatches,
    prepared,
    seed_dropout,
)
from stfn_keras.training.stopping import Stopping

# A checkpoint is written when the time since the last is so many times its own.
CHECKPOINT_SHARE = 20.0


def fit_stage(
    stage: Stage,
    model: keras.Model,
    batches: TrainingBatches,
    validation: ValidationBatches | None = None,
    engine: Engine | None = None,
) -> None:
    """Train to the stage's end, from its last checkpoint if there is one.

    Args:
        stage: What to run and where.
        model: What `fitted_model` gave, built in the engine's scope; trained in place.
        batches: Gives the batches of an epoch, counted from 0; as many in each.
        validation: Gives the batches to validate on; the best epoch by top-1 is then
            the stage's result, without it the last epoch is.
        engine: What computes the steps; by default that of the stage's machine.

    Raises:
        UserError: The loss is no longer finite, every checkpoint is damaged, or the
            process was asked to end (SIGTERM); the training can be continued.
    """
    _Fit(stage, model, batches, validation, engine or make_engine(stage.machine)).run()


def _check_divides(stage: Stage, videos: int | None, replicas: int) -> None:
    """Refuse a batch that devices, and parts on each, cannot share evenly."""
    parts = stage.config.accumulate_steps
    if videos is not None and videos % (replicas * parts):
        raise UserError(
            f"--{stage.name}_batch must be a multiple of {replicas * parts}: "
            f"{replicas} devices times --{stage.name}_accumulate_steps={parts}, and "
            f"the data must have as many videos. Received: a batch of {videos}. Give a "
            "multiple, fewer parts or fewer devices"
        )


class _Fit:
    """The training of one stage while it goes on."""

    def __init__(
        self,
        stage: Stage,
        model: keras.Model,
        batches: TrainingBatches,
        validation: ValidationBatches | None,
        engine: Engine,
    ) -> None:
        self.stage, self.batches, self.validation = stage, batches, validation
        self.engine = engine
        whole = batches(0, 0, Share(0, 1))
        # Known: the pipeline counts its batches, and their videos.
        self.steps_per_epoch = int(whole.cardinality())
        _check_divides(stage, whole.element_spec[1]["logits"].shape[0], engine.replicas)
        with engine.scope():
            self.fitted = prepared(model, stage, self.steps_per_epoch)
        with engine.together():  # nobody writes before all have read
            self.kept = stage.checkpoints
        self.saved, self.took = time.monotonic(), 0.0

    def run(self) -> None:
        """Train what is left, and record the stage's end."""
        stage, kept, fitted = self.stage, self.kept, self.fitted
        position, before = kept.restore(fitted.model, fitted.optimizer)
        if not self.engine.agree(position.number):
            raise UserError(
                "all workers must continue from the same checkpoint. Received: others "
                f"than {position.file} of {kept.folder}, which this one read: --out "
                "must be one folder that all see alike; start all of them again"
            )
        if position.epoch and not position.step:
            # The weights of a checkpoint at an epoch's end are the averages.
            exchange_averages(fitted.model, fitted.optimizer)
        if not stage.is_over(kept, position.epoch):
            self._train(position, Sums(before))
        with self.engine.together():
            if not self.engine.is_chief:
                return
            if not kept.finished:
                if not kept.kept:  # no epochs asked for: the network as it was built
                    self._save(Position())
                kept.finish()
            history.draw(stage.history, stage.run_folder / "history.png")

    def _train(self, position: Position, sums: Sums) -> None:
        stage, epochs = self.stage, self.stage.config.epochs
        steps = self.engine.steps(self.fitted)
        boards = stage.run_folder / "tensorboard"
        self._tell_memory()
        with (
            Stopping() as stopping,
            Progress(
                stage.name, epochs, self.steps_per_epoch, stage.config.batch
            ) as bar,
            StageBoard(boards, stage.name, stage.labels) as board,
        ):
            while True:
                first = self._train_epoch(position, sums, steps, bar, stopping)
                number = position.epoch + 1
                if self._end_epoch(number, sums, steps, board, first, stopping):
                    return
                if stopping.asked:
                    raise UserError(
                        stopping.message(stage.name, number, self.steps_per_epoch)
                    )
                position, sums = Position(number), Sums()

    def _train_epoch(
        self,
        position: Position,
        sums: Sums,
        steps: Steps,
        progress: Progress,
        stopping: Stopping,
    ) -> tuple | None:
        """Train the rest of an epoch; its first batch, to be looked at."""
        epoch, first = position.epoch, None
        self.began = time.monotonic()
        if not position.step:
            seed_dropout(self.fitted.model, self.stage.seed, epoch)
        progress.at(epoch, position.step)
        data = self.engine.batches(
            lambda share: self.batches(epoch, position.step, share)
        )
        for step, batch in enumerate(data, position.step + 1):
            sums.add(steps.train(batch))
            if first is None:
                first = batch
            progress.advance(sums.row)
            if step == self.steps_per_epoch:
                continue  # to the end of the data, where their number is checked
            if stopping.asked or self._is_due():
                steps.sync()
                self._check_finite(sums, epoch + 1)
                self._save(Position(epoch, step), sums)
            if stopping.asked:  # of several workers the first one has kept the step
                raise UserError(stopping.message(self.stage.name, epoch + 1, step))
        steps.sync()
        return first

    def _end_epoch(
        self,
        number: int,
        sums: Sums,
        steps: Steps,
        board: StageBoard,
        first: tuple | None,
        stopping: Stopping,
    ) -> bool:
        """Validate, record and keep what an epoch gave; whether the stage is over."""
        stage, kept, fitted = self.stage, self.kept, self.fitted
        self._check_finite(sums, number)
        row, counted = sums.row(), ("training", sums.confusion)
        exchange_averages(fitted.model, fitted.optimizer)  # they are what is kept
        if self.validation is not None:
            found = Sums()
            for batch in self.engine.batches(self.validation, padded=True):
                found.add(steps.evaluate(batch))
            row |= {f"val_{key}": value for key, value in found.row().items()}
            counted = ("validation", found.confusion)
        row = {key: round(value, 6) for key, value in row.items()}
        row["rate"] = float(fitted.optimizer.learning_rate)
        row["seconds"] = round(time.monotonic() - self.began, 2)
        score, last = row.get("val_top1"), number == stage.config.epochs
        if last or stopping.asked or self._is_due() or kept.is_better(score):
            self._save(Position(number), score=score)
        if self.engine.is_chief:
            history.append(stage.history, {"stage": stage.name, "epoch": number, **row})
            board.scalars(row, number)
        over = stage.is_over(kept, number)
        due = self.engine.is_chief and (over or board.due(number, stage.config.epochs))
        if due and first is not None:
            board.pictures(self.engine.first_batch(first), counted, number)
        if not over:
            exchange_averages(fitted.model, fitted.optimizer)  # back to the weights
        return over

    def _check_finite(self, sums: Sums, number: int) -> None:
        """Keep nothing of a training that diverged."""
        loss = sums.row()["loss"]
        if not math.isfinite(loss):
            name = self.stage.name
            raise UserError(
                f"the {name} stage's loss became {loss} in epoch {number}; what was "
                f"kept before is finite. Lower --{name}_rate or set "
                f"--{name}_clip_norm, in a new --out"
            )

    def _tell_memory(self) -> None:
        stage, engine = self.stage, self.engine
        needed = estimate(self.fitted, stage.config.batch, engine.replicas)
        logging.info("%s", needed)
        if advice := needed.advice(stage.name, free_memory(stage.machine.cpu_devices)):
            logging.warning("%s", advice)

    def _is_due(self) -> bool:
        wanted = self.stage.machine.checkpoint_seconds
        passed = time.monotonic() - self.saved
        return not wanted or passed > max(wanted, CHECKPOINT_SHARE * self.took)

    def _save(
        self, position: Position, sums: Sums | None = None, score: float | None = None
    ) -> None:
        if not self.engine.is_chief:
            self.kept.note(position, score)
            return
        self.took = self.kept.save(
            self.fitted.model,
            self.fitted.optimizer,
            position,
            sums.arrays if sums else None,
            score,
            self.stage.machine.keep_checkpoints,
        )
        self.saved = time.monotonic()
