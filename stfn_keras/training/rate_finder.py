"""Find a learning rate: the range test of Leslie Smith (T: arXiv:1506.01186).

found = find_rate(data, out, model, training, "rgb")
found.suggested                     # 0.0021, or None
found.explained("rgb")              # why, in words

A stage's own network takes real steps while the rate grows exponentially. At first
nothing happens, then the loss falls, at last it explodes. The rate at which it falls
fastest is a good peak rate; that of the lowest loss is too high to begin with.
Nothing is kept of the network.
"""

import dataclasses
import itertools
import math
import tempfile
from functools import partial
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.data.manifest import DEFAULT_VERIFY, Manifest, VerifyConfig
from stfn_keras.data.remote import location_of
from stfn_keras.data.source import naming_damage
from stfn_keras.errors import UserError
from stfn_keras.training import stages, whole
from stfn_keras.training.checks import check_settings, towers_run
from stfn_keras.training.engines.engine import Engine
from stfn_keras.training.history import short_rate
from stfn_keras.training.initial import Initial
from stfn_keras.training.objective import Sums
from stfn_keras.training.rate_curve import RangeTest, judged, write
from stfn_keras.training.run import Run
from stfn_keras.training.stage import Stage, TrainingBatches, prepared, seed_dropout
from stfn_keras.training.work import Work

DIVERGED = 4.0  # times the lowest running loss: the test ends
MEMORY = 0.9  # of that running loss


def range_test(
    model: keras.Model,
    stage: Stage,
    batches: TrainingBatches,
    engine: Engine,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
) -> RangeTest:
    """Train a model at a growing rate until its loss explodes; the model is spoilt.

    Args:
        model: What `fitted_model` gave.
        stage: Loss and optimiser; its own rate and schedule are not used.
        batches: Gives the batches of an epoch, counted from 0.
        engine: What computes the steps.
        low: The first step's rate.
        high: The last step's.
        steps: Optimiser steps.

    Raises:
        UserError: The rates or the number of steps make no range, or the loss is not
            finite at the lowest rate.
    """
    if not 0.0 < low < high or steps < 10:
        raise UserError(
            "the range test needs 0 < --low < --high and --steps of 10 or more. "
            f"Received: --low={low:g} --high={high:g} --steps={steps}"
        )
    with engine.scope():
        fitted = prepared(model, stage, steps)
    fitted.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(
        low, steps - 1, high / low
    )
    seed_dropout(model, stage.seed, 0)
    computed = engine.steps(fitted)
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    losses: list[float] = []
    running, best, diverged = 0.0, math.inf, False
    endless = itertools.chain.from_iterable(
        engine.batches(partial(batches, epoch, 0)) for epoch in itertools.count()
    )
    with tqdm(
        total=steps, desc=f"rates for {stage.name}", unit=" steps",
        dynamic_ncols=True, disable=None,
    ) as bar:  # fmt: skip
        for step, batch in enumerate(itertools.islice(endless, steps)):
            sums = Sums()
            sums.add(computed.train(batch))
            loss = sums.row()["loss"]
            if not math.isfinite(loss):
                diverged = True
                break
            losses.append(loss)
            running = MEMORY * running + (1.0 - MEMORY) * loss
            mean = running / (1.0 - MEMORY ** (step + 1))
            best = min(best, mean)
            bar.update(1)
            bar.set_postfix_str(f"rate {short_rate(rates[step])}, loss {loss:.3f}")
            if mean > DIVERGED * best:
                diverged = True
                break
    if len(losses) < 3:
        raise UserError(
            f"the loss of the {stage.name} stage is not finite at {low:g}: give a "
            "lower --low, or mend the stage's settings"
        )
    return judged(rates[: len(losses)], np.array(losses), diverged)


def find_rate(
    data: Path,
    out: Path,
    model: ModelConfig,
    training: TrainingConfig,
    stage: str,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    towers_from: Path | None = None,
    verify: VerifyConfig = DEFAULT_VERIFY,
    init_from: Path | None = None,
) -> RangeTest:
    """Run the range test of one stage and write its table and picture.

    No run is touched, but that of `towers_from` gets its feature cache if the
    fusion's is not there yet.

    Args:
        data: A dataset directory.
        out: Where table and picture go; may hold anything else.
        model: The network.
        training: The settings of its stages.
        stage: One of the network's streams, or `fusion`.
        low: The first step's learning rate.
        high: The last step's.
        steps: Optimiser steps.
        towers_from: A run with finished towers, which `fusion` needs.
        verify: How the training shards are checked first.
        init_from: A finished run, or an archive of one, whose weights the stage
            starts from.

    Raises:
        UserError: The network has no such stage, it lacks its towers, or settings and
            data do not go together.
    """
    _check_stage(model, stage, towers_from)
    manifest = Manifest.load(data)
    check_settings(model, dataclasses.replace(training, stages=(stage,)), manifest)
    manifest.verify(data, verify.full, training.split, "r")
    initial = None
    if init_from:
        initial = Initial.open(init_from, model, training, manifest)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out must be a folder. Received: {out}") from error
    found: list[RangeTest] = []

    def fit(
        stage: Stage,
        fitted: keras.Model,
        batches: TrainingBatches,
        _: object,
        engine: Engine,
    ) -> None:
        found.append(range_test(fitted, stage, batches, engine, low, high, steps))

    with (
        tempfile.TemporaryDirectory(prefix=".rate_finder-", dir=out) as folder,
        naming_damage(data, manifest),
    ):
        run = Run(
            Path(folder), location_of(data.resolve()), manifest.digest,
            manifest.labels, manifest.preprocessing, model, training, towers_from,
        )  # fmt: skip
        work = Work(run, data, manifest, towers_run(run), initial)
        keras.utils.set_random_seed(training.seed)
        if stage == "fusion" and model.is_pooled:
            stages.train_fusion(work, fit)
        elif stage == "fusion":
            whole.train_upper(work, fit)
        else:
            stages.train_tower(work, stage, fit)
    write(found[0], stage, out)
    return found[0]


def _check_stage(model: ModelConfig, stage: str, towers_from: Path | None) -> None:
    has = (*model.streams, *model.upper_stages)
    if stage not in has:
        raise UserError(
            f"--network={model.network} has the stages {', '.join(has)}. "
            f"Received: --stage={stage}"
        )
    if stage == "fusion" and towers_from is None:
        raise UserError(
            "--stage=fusion is trained on the features of finished towers: give "
            "--towers_from RUN"
        )
