"""The stages that give a network's parts: each tower, and the fusion on features.

rgb tower --+
+--> cached features --> fusion network --> (end to end)
flow tower -+

`training/whole.py` has those that train a whole network on pixels.
"""

import dataclasses
from collections.abc import Callable
from functools import cache

import keras
import tensorflow as tf
from absl import logging

from stfn_keras import models
from stfn_keras.config import STREAMS, PixelStageConfig
from stfn_keras.data import pipeline
from stfn_keras.data.share import Share
from stfn_keras.errors import UserError
from stfn_keras.training import features
from stfn_keras.training.checkpoint import load_weights
from stfn_keras.training.engines.engine import chief_first
from stfn_keras.training.loop import fit_stage
from stfn_keras.training.run import Run
from stfn_keras.training.stage import Stage, fitted_model, targets_for
from stfn_keras.training.tf_checkpoint import is_checkpoint, read_checkpoint
from stfn_keras.training.work import Work
from stfn_keras.video.extent import Extent


def input_sizes(network: keras.Model) -> dict[str, int]:
    """Side in pixels of each stream's input."""
    return {stream: int(tensor.shape[2]) for stream, tensor in network.input.items()}


def fit_on_pixels(
    work: Work,
    stage: Stage,
    network: keras.Model,
    config: PixelStageConfig,
    segments: int,
    fit: Callable[..., None] = fit_stage,
) -> None:
    """Run a stage that reads snippets from the shards."""
    if work.machine.recompute and not models.recompute_towers(network):
        raise UserError(
            "--recompute needs towers that are used whole, and those of "
            f"--network={work.run.model.network} are linked layer by layer: train it "
            "without; --accumulate_steps saves memory too"
        )
    with work.building():
        model = fitted_model(network, stage.stream_loss)
    targets = targets_for(model, work.classes, work.class_weights)
    plain = targets_for(model, work.classes)
    source = work.source("r", input_sizes(network))

    def batches(epoch: int, start: int, share: Share) -> tf.data.Dataset:
        return pipeline.training_batches(
            source,
            segments=segments,
            batch=config.batch,
            seed=work.run.training.seed,
            epoch=epoch,
            augment=config,
            transform=lambda inputs, label: (inputs, *targets(label)),
            start=start,
            share=share,
        )

    def validation(share: Share) -> tf.data.Dataset:
        views = pipeline.view_batches(
            work.source("v", input_sizes(network)),
            segments=segments,
            samplings=1,
            crops=1,
            batch=config.batch // share.count,
            share=share,
        )
        return views.map(lambda inputs, about: (inputs, *plain(about["label"])))

    validates = work.validates(stage.name)
    fit(stage, model, batches, validation if validates else None, work.engine)


def tower_network(run: Run, stream: str, frames: int = 0) -> keras.Model:
    """The segment-consensus network that trains one tower (T: TSN).

    Args:
        run: Whose tower it is.
        stream: The tower's.
        frames: How many of a segment it is given; 0: as the run says.
    """
    stage = run.training.tower_stage(stream)
    config = dataclasses.replace(
        run.model.alone(stream),
        segments=stage.segments,
        dropout=stage.dropout,
        frames=frames or run.model.frames,
    )
    return models.build(config, len(run.labels))


def tower_of(network: keras.Model, stream: str) -> keras.Model:
    """The tower inside a network: uint8 (H, W, C) to (features,)."""
    return network.get_layer(f"{stream}_features").layer


def train_tower(work: Work, stream: str, fit: Callable[..., None] = fit_stage) -> None:
    """Train one tower with its classifier on single snippets.

    `fit` is called as `fit_stage` is; another one may do something else with the
    stage, as the rate finder does.
    """
    run, stage = work.run, work.stage(stream)
    with work.building():
        network = tower_network(run, stream)
    tower = tower_of(network, stream)
    if not stage.checkpoints.kept:
        if work.initial:
            work.initial.apply(network, stream, work.writes_to)
        else:
            load_published(tower, stream, run)
    config = run.training.tower_stage(stream)
    models.freeze(tower, config.frozen, config.partial_batchnorm)
    models.set_batchnorm_momentum(tower.layers, config.batchnorm_momentum)
    if config.first_rate != 1.0:
        first = models.without_lifts(models.weighted_layers(tower))[0]
        factors = {v.path: config.first_rate for v in first.trainable_variables}
        stage = dataclasses.replace(stage, rate_factors=factors)
    fit_on_pixels(work, stage, network, config, config.segments, fit)


def load_published(tower: keras.Model, stream: str, run: Run) -> None:
    """Set a tower's weights to those that the run's settings name.

    Raises:
        UserError: The file or checkpoint is missing, or does not fit the tower.
    """
    source = run.training.tower_weights(stream)
    if not is_checkpoint(source):
        models.load_tower_weights(tower, stream, run.model, source)
        return
    origin = f"{source} for --tower={run.model.tower}"
    variables = read_checkpoint(source)
    left = models.load_tower_variables(tower, stream, variables, origin)
    if left:
        logging.info(
            "%s: the checkpoint's classifier of %d classes is left out",
            stream, left[0].shape[-1],
        )  # fmt: skip


def trained_towers(work: Work) -> tuple[dict[str, keras.Model], dict[str, str]]:
    """The towers' networks with their trained weights, and their digests.

    Raises:
        UserError: A tower is not trained, or damaged.
    """
    networks, digests = {}, {}
    model = work.run.model
    for stream in model.streams:
        networks[stream] = tower_network(work.towers_run, stream, model.frames)
        digests[stream] = load_result(work, stream, networks[stream])
    return networks, digests


def tower_digests(work: Work) -> dict[str, str]:
    """SHA-256 of the towers' results by stream.

    Raises:
        UserError: A tower is not trained, or damaged.
    """
    return {s: work.checkpoints(s).result()[1] for s in work.run.model.streams}


def load_result(work: Work, name: str, network: keras.Model) -> str:
    """Load the weights that a finished stage gave; return their file's SHA-256."""
    path, digest = work.checkpoints(name).result()
    stream_loss = 0.0 if name in STREAMS else work.run.training.stream_loss
    load_weights(fitted_model(network, stream_loss), path, digest)
    return digest


def cached_features(
    work: Work, networks: Callable[[], dict[str, keras.Model]], digests: dict[str, str]
) -> dict[str, features.FeatureFile]:
    """The cached features of the split's training (and validation) videos, by role.

    Args:
        work: The run and its data.
        networks: Gives the towers' networks by stream, where they are needed.
        digests: SHA-256 of the towers' checkpoints by stream.
    """
    training = work.run.training
    key = features.cache_key(
        work.manifest.digest, training.split, work.run.flow, digests,
        training.feature_views, Extent.of(work.run.model),
        (training.folds, training.fold),
    )  # fmt: skip
    model = work.run.model
    sizes = {name: models.input_size(model, name) for name in model.inputs}

    def towers() -> dict[str, keras.Model]:
        return {stream: tower_of(n, stream) for stream, n in networks().items()}

    found = {}
    for role in ("r", "v") if work.has_validation else ("r",):
        source = work.source(role, sizes)
        found[role] = features.cache_features(
            towers,
            models.feature_size(model),
            source,
            work.towers_run.folder / "features" / key / f"{role}.npy",
            training.feature_views if role == "r" or work.parts else 1,
            "features of the " + {"r": "training", "v": "validation"}[role] + " videos",
        )
    return found


def train_fusion(work: Work, fit: Callable[..., None] = fit_stage) -> None:
    """Train the temporal and fusion part on cached features; `fit` as for a tower."""
    run, stage = work.run, work.stage("fusion")
    digests = tower_digests(work)
    chief_first(work.engine, lambda: stage.checkpoints.begin(digests))

    @cache
    def networks() -> dict[str, keras.Model]:
        return trained_towers(work)[0]

    cached = chief_first(work.engine, lambda: cached_features(work, networks, digests))
    # So that it starts alike whether or not the features had to be computed.
    keras.utils.set_random_seed(run.training.seed)
    with work.building():
        network = fusion_network(run)
        model = fitted_model(network, stage.stream_loss)
    if not stage.checkpoints.kept:  # else its own weights are restored
        if work.initial:
            work.initial.apply(network, "fusion", work.writes_to)
        if run.training.fusion_init == "towers":
            take_classifiers(networks(), network)
    trained_on = {"train": "r", "held_out": "v", "both": "rv"}[
        run.training.fusion_videos
    ]

    def batches(epoch: int, start: int, share: Share) -> tf.data.Dataset:
        return features.training_features(
            [cached[role] for role in trained_on],
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

    def validation(share: Share) -> tf.data.Dataset:
        return features.validation_features(
            cached["v"],
            run.model.streams,
            segments=run.model.segments,
            batch=stage.config.batch // share.count,
            targets=targets_for(model, work.classes),
            share=share,
        )

    validates = work.validates("fusion")
    fit(stage, model, batches, validation if validates else None, work.engine)


def take_classifiers(towers: dict[str, keras.Model], network: keras.Model) -> None:
    """Start a fusion from the towers' classifiers, where it has one for each stream."""
    if network.name.startswith("feature_fusion"):
        logging.warning(
            "--fusion_init=towers: feature fusion has one classifier for both streams, "
            "which starts at random"
        )
        return
    for tower in towers.values():
        models.copy_by_name(tower, network)  # of a head, the classifiers alone


def fusion_network(run: Run) -> keras.Model:
    """The part of the network behind the towers, from features (batch, T, C)."""
    config = dataclasses.replace(
        run.model,
        dropout=run.training.fusion.dropout,
        modality_dropout=run.training.modality_dropout,
    )
    size = models.feature_size(run.model)
    return models.build_head(config, len(run.labels), size)
