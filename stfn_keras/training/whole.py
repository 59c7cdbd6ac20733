"""The stages that train a whole network on pixels, and its putting together.

A network whose upper part reads more of its towers than their pooled features, or
whose towers mix segments, cannot train on cached ones: its `fusion` stage sees pixels,
through towers that stay as they are. `end_to_end` then tunes any network, towers and
all.
"""

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np

from stfn_keras import models
from stfn_keras.config import PixelStageConfig
from stfn_keras.data.pipeline import view_batches
from stfn_keras.training.engines.engine import chief_first
from stfn_keras.training.loop import fit_stage
from stfn_keras.training.stages import (
    fit_on_pixels,
    fusion_network,
    input_sizes,
    load_result,
    take_classifiers,
    tower_digests,
    tower_of,
    trained_towers,
)
from stfn_keras.training.work import Work

SHOWN = 8  # videos that the towers see at once before the first epoch


def assemble(work: Work) -> keras.Model:
    """The whole network with the weights of its finished stages.

    Raises:
        UserError: A stage that it needs is not finished, or the fusion was trained
            on other towers.
    """
    model = work.run.model
    whole = models.build(model, work.classes)
    networks, digests = trained_towers(work)
    models.take_towers(model, whole, networks)
    if "fusion" in model.stages:
        work.checkpoints("fusion").begin(digests)
        upper = fusion_network(work.run) if model.is_pooled else pixel_network(work)
        load_result(work, "fusion", upper)
        models.copy_by_name(upper, whole)
    return whole


def pixel_network(work: Work, stage: str = "fusion") -> keras.Model:
    """The whole network with the dropout and freezing of a stage on pixels."""
    config = pixel_config(work, stage)
    built = dataclasses.replace(
        work.run.model,
        dropout=config.dropout,
        modality_dropout=work.run.training.modality_dropout,
    )
    network = models.build(built, work.classes)
    for stream in built.streams:
        layers = models.tower_layers(built, network, stream)
        models.freeze(layers, config.frozen, config.partial_batchnorm)
        models.set_batchnorm_momentum(layers, config.batchnorm_momentum)
    return network


def pixel_config(work: Work, stage: str) -> PixelStageConfig:
    """How a stage on pixels is trained.

    The fusion has its own settings, towers that stay as they are, and of the pixels
    the augmentation of the end-to-end stage.
    """
    training = work.run.training
    if stage == "end_to_end":
        return training.end_to_end
    own = dataclasses.asdict(training.fusion)
    return dataclasses.replace(training.end_to_end, **own, frozen=1.0)


def train_upper(work: Work, fit: Callable[..., None] = fit_stage) -> None:
    """Train on pixels what stands above towers that stay as they are."""
    run, stage = work.run, work.stage("fusion")
    digests = tower_digests(work)
    chief_first(work.engine, lambda: stage.checkpoints.begin(digests))
    with work.building():
        network = pixel_network(work)
    if not stage.checkpoints.kept:
        towers, _ = trained_towers(work)
        if run.model.has_head:  # whose classifiers start as --fusion_init says
            for stream, tower in towers.items():
                models.copy_by_name(tower_of(tower, stream), tower_of(network, stream))
        else:
            models.take_towers(run.model, network, towers)
        seen = training_views(work, network)
        models.initialise(run.model, network, seen, run.training.seed)
        if work.initial:  # what it lacks keeps its start
            work.initial.apply(network, "fusion", work.writes_to)
        if run.training.fusion_init == "towers":
            take_classifiers(towers, network)
    config = pixel_config(work, "fusion")
    fit_on_pixels(work, stage, network, config, run.model.segments, fit)


def train_end_to_end(work: Work, fit: Callable[..., None] = fit_stage) -> None:
    """Tune the assembled network, towers and all, on pixels (end to end: P)."""
    stage = work.stage("end_to_end")
    with work.building():
        network = pixel_network(work, "end_to_end")
    digests = tower_digests(work)
    chief_first(work.engine, lambda: stage.checkpoints.begin(digests))
    if not stage.checkpoints.kept:
        models.copy_by_name(assemble(work), network)
    config, segments = work.run.training.end_to_end, work.run.model.segments
    fit_on_pixels(work, stage, network, config, segments, fit)


def training_views(work: Work, network: keras.Model) -> Iterator[dict[str, np.ndarray]]:
    """The training videos' centre views, a few videos at a time."""
    batches = view_batches(
        work.source("r", input_sizes(network)), segments=work.run.model.segments,
        samplings=1, crops=1, batch=SHOWN,
    )  # fmt: skip
    for inputs, _ in batches:
        yield {stream: views.numpy() for stream, views in inputs.items()}
