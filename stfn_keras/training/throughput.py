"""What binds a training stage: its input or its steps.

    found = measure_throughput(data, ModelConfig(), TrainingConfig(), "rgb")
    found.reading, found.input, found.step, found.both   # videos per second
    print(found.explained())

The stage is built as for training, with random weights, and nothing of it is kept.
"""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from stfn_keras import models
from stfn_keras.config import (
    DEFAULT_MACHINE,
    MachineConfig,
    ModelConfig,
    TrainingConfig,
)
from stfn_keras.data.manifest import DEFAULT_VERIFY, Manifest, VerifyConfig
from stfn_keras.data.remote import location_of
from stfn_keras.data.share import WHOLE, Share
from stfn_keras.data.source import naming_damage
from stfn_keras.data.stream import SHARDS_AT_ONCE, records
from stfn_keras.errors import UserError
from stfn_keras.training import features, stages, whole
from stfn_keras.training.bottleneck import Throughput
from stfn_keras.training.checks import check_settings
from stfn_keras.training.engines.engine import Engine
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.objective import Sums
from stfn_keras.training.run import Run
from stfn_keras.training.stage import (
    Stage,
    TrainingBatches,
    fitted_model,
    prepared,
    targets_for,
)
from stfn_keras.training.work import Work

MADE_UP_VIDEOS = 256  # whose features stand for a cache's
LEAST_SECONDS = 3.0  # more than what is in buffers is measured
WARM_UP = 2  # batches that are not counted: graphs are traced, buffers filled


@dataclass(frozen=True)
class _Job:
    """What a stage would be fitted with, and how its records alone are read."""

    stage: Stage
    model: keras.Model
    batches: TrainingBatches
    engine: Engine
    read: Callable[[int], Iterable[Any]]  # gives the records of so many, without end


def measure_throughput(
    data: Path,
    model: ModelConfig,
    training: TrainingConfig,
    stage: str,
    *,
    steps: int = 20,
    seconds: float = 60.0,
    machine: MachineConfig = DEFAULT_MACHINE,
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> Throughput:
    """Measure reading, input, steps, and both together, one after another.

    Args:
        data: A dataset directory.
        model: The network.
        training: The settings of its stages.
        stage: A stream's name, `fusion` (on made-up features) or `end_to_end`.
        steps: Batches to measure, for each of the four.
        seconds: Time for each, after which fewer batches do; two are always taken.
        machine: How the steps are computed.
        verify: How the training shards are checked first.

    Raises:
        UserError: The network has no such stage, settings and data do not go
            together, or a shard is damaged.
    """
    _check(model, stage, steps, seconds)
    make_engine(machine)  # first: it may decide how the backend computes
    manifest = Manifest.load(data)
    check_settings(model, dataclasses.replace(training, stages=(stage,)), manifest)
    manifest.verify(data, verify.full, training.split, "r")
    # Weights cost no time in a step, and none are fetched or looked for.
    training = dataclasses.replace(
        training, rgb_weights="none", flow_weights="", flow_init="none"
    )
    with (
        tempfile.TemporaryDirectory(prefix="throughput-") as folder,
        naming_damage(data, manifest),
    ):
        run = Run(
            Path(folder), location_of(data.resolve()), manifest.digest,
            manifest.labels, manifest.preprocessing, model, training,
        )  # fmt: skip
        work = Work(run, data, manifest, run, machine=machine)
        keras.utils.set_random_seed(training.seed)
        make = _fusion_job if stage == "fusion" and model.is_pooled else _pixel_job
        return _measured(make(work, stage), steps, seconds)


def _check(model: ModelConfig, stage: str, steps: int, seconds: float) -> None:
    has = (*model.streams, *model.upper_stages, "end_to_end")
    if stage not in has:
        raise UserError(
            f"--network={model.network} has the stages {', '.join(has)}. "
            f"Received: --stage={stage}"
        )
    if steps < 2 or seconds <= 0:
        raise UserError(
            "expected --steps of 2 or more and --seconds above 0. Received: "
            f"--steps={steps} --seconds={seconds:g}"
        )


def _pixel_job(work: Work, name: str) -> _Job:
    """A stage that reads pixels, as its training would fit it."""
    found: list[tuple[Stage, keras.Model, TrainingBatches]] = []

    def fit(stage: Stage, model: keras.Model, batches: Any, *_: Any) -> None:
        found.append((stage, model, batches))

    if name in ("fusion", "end_to_end"):
        with work.building():
            network = whole.pixel_network(work, name)
        config = whole.pixel_config(work, name)
        stages.fit_on_pixels(
            work, work.stage(name), network, config, work.run.model.segments, fit
        )
    else:
        stages.train_tower(work, name, fit)
    stage, model, batches = found[0]
    source = work.source("r", stages.input_sizes(model))

    def read(videos: int) -> Iterable[Any]:
        return records(source, cycle=SHARDS_AT_ONCE).repeat().batch(videos)

    return _Job(stage, model, batches, work.engine, read)


def _fusion_job(work: Work, name: str) -> _Job:
    """The fusion on random features: their values cost no time."""
    run, stage = work.run, work.stage(name)
    with work.building():
        model = fitted_model(stages.fusion_network(run), stage.stream_loss)
    videos = min(work.source("r", {}).videos, MADE_UP_VIDEOS)
    cached = features.FeatureFile(
        run.folder / "made_up.npy", videos, work.manifest.snippets,
        run.training.feature_views, models.feature_size(run.model),
    )  # fmt: skip
    rows = np.zeros(videos, cached.record(run.model.streams))
    draws = np.random.default_rng(0)
    rows["label"] = draws.integers(0, work.classes, videos)
    for stream in run.model.streams:
        rows[stream] = draws.random((videos, 1, 1, cached.features), np.float32)
    np.save(cached.path, rows)

    def batches(epoch: int, start: int, share: Share) -> tf.data.Dataset:
        return features.training_features(
            [cached],
            run.model.streams,
            segments=run.model.segments,
            batch=stage.config.batch,
            seed=run.training.seed,
            epoch=epoch,
            mixup=stage.config.mixup,
            targets=targets_for(model, work.classes, work.class_weights),
            start=start,
            share=share,
        )

    def read(videos: int) -> Iterable[Any]:
        for first in itertools.cycle(range(0, len(rows) - videos + 1, videos)):
            yield np.array(cached.load()[first : first + videos])

    return _Job(stage, model, batches, work.engine, read)


def _measured(job: _Job, steps: int, seconds: float) -> Throughput:
    def plain(epoch: int) -> tf.data.Dataset:
        return job.batches(epoch, 0, WHOLE)

    videos = int(tf.nest.flatten(plain(0).element_spec)[0].shape[0])
    with job.engine.scope():
        fitted = prepared(job.model, job.stage, steps)
    computed = job.engine.steps(fitted)
    sums, least = Sums(), min(LEAST_SECONDS, seconds)

    def train(batch: Any) -> None:
        sums.add(computed.train(batch))  # waits for the step, as training does

    def trained_on(epoch: int) -> Iterable[Any]:
        return job.engine.batches(partial(job.batches, epoch, 0))

    with tqdm(
        total=4 * steps, unit=" batches", dynamic_ncols=True, disable=None
    ) as bar:

        def rate(
            described: str, batches: Iterator[Any], use: Callable = lambda _: None
        ) -> float:
            bar.set_description(described)
            before = bar.n
            for _ in range(WARM_UP):
                use(next(batches))
            began, done, passed = time.perf_counter(), 0, 0.0
            while done < 2 or passed < least or (done < steps and passed < seconds):
                use(next(batches))
                done, passed = done + 1, time.perf_counter() - began
                bar.update(before + min(done, steps) - bar.n)
            bar.update(before + steps - bar.n)
            return done * videos / passed

        return Throughput(
            job.stage.name,
            videos,
            reading=rate("reading", iter(job.read(videos))),
            input=rate("reading, decoding, augmenting", _endless(plain)),
            step=rate(
                "steps alone", itertools.repeat(next(iter(trained_on(0)))), train
            ),
            both=rate("both together", _endless(trained_on), train),
        )


def _endless(epoch: Callable[[int], Iterable[Any]]) -> Iterator[Any]:
    """The batches of one epoch after another."""
    return itertools.chain.from_iterable(epoch(n) for n in itertools.count())
