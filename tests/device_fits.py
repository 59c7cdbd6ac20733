"""A small stage, fitted on whatever devices: what the tests of engines compare.

Run in processes of their own, which alone can divide the CPU.
"""

import contextlib
import json
import os
import subprocess
import sys
import unittest.mock
from pathlib import Path

import forked
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import MachineConfig, ModelConfig, StageConfig
from stfn_keras.data.share import own_part
from stfn_keras.training.checkpoint import StageCheckpoints
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.loop import fit_stage
from stfn_keras.training.progress import Progress
from stfn_keras.training.stage import Stage, fitted_model, targets_for

CLASSES, SEGMENTS, SIDE, VIDEOS, VALIDATED = 3, 2, 16, 14, 7
WEIGHTS = (0.5, 1.0, 2.0)
FIGURES = ("loss", "top1", "mean_class", "val_loss", "val_top1", "val_mean_class")


def videos(count, seed):
    """Noise that is lighter from video to video, so that parts of a batch differ."""
    draws = np.random.default_rng(seed)
    label = np.arange(count) % CLASSES
    light = (60 + 40 * label + 3 * np.arange(count))[:, None, None, None, None]

    def pixels(channels):
        shape = (count, SEGMENTS, SIDE, SIDE, channels)
        return (light + draws.integers(-40, 40, shape)).astype("uint8")

    return {"rgb": pixels(3), "flow": pixels(2)}, label


def network(dropout=0.0, name="spatial"):
    config = ModelConfig(
        tower="tiny", segments=SEGMENTS, rgb_size=SIDE, flow_size=SIDE, pairs=1,
        blocks=1, width=4, dropout=dropout, network=name,
    )  # fmt: skip
    return models.build(config, CLASSES)


def fit(
    folder, machine, name="spatial", dropout=0.0, partial=False, batchnorm=True,
    weights=WEIGHTS, stop=0, **settings,
):  # fmt: skip
    """Fit to the end, or go on, or for `stop` steps; the rows of the history."""
    machine = MachineConfig(**{"checkpoint_seconds": 0.0, **machine})
    engine = make_engine(machine)
    settings = {"epochs": 3, "batch": 4, "rate": 0.02, "optimizer": "sgd", **settings}
    config = StageConfig(**settings)
    stage = Stage(
        "fusion", config, Path(folder), ("a", "b", "c"), stream_loss=0.5,
        machine=machine,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    with engine.scope():
        model = fitted_model(network(dropout, name), stage.stream_loss)
    if not batchnorm:
        models.freeze(model.get_layer("rgb_features").layer, 0.0, True)
        model.get_layer("rgb_features").layer.get_layer("bn1").trainable = False
    if partial:
        models.freeze(model.get_layer("rgb_features").layer, 0.0, True)
    trained, seen = (
        ({stream: inputs[stream] for stream in model.input}, label)
        for inputs, label in (videos(VIDEOS, 0), videos(VALIDATED, 1))
    )
    targets = targets_for(model, CLASSES, weights)
    plain = targets_for(model, CLASSES)

    def batches(epoch, start, share):
        share.check_divides(config.batch)
        order = np.random.default_rng(epoch).permutation(VIDEOS)
        data = tf.data.Dataset.from_tensor_slices(
            tf.nest.map_structure(lambda values: values[order], trained)
        )
        count = VIDEOS // config.batch
        data = own_part(
            data, batch=config.batch, batches=count, start=start, share=share
        ).map(lambda inputs, label: (inputs, *targets(label)))
        data = data.batch(share.videos_of_batch(config.batch), drop_remainder=True)
        return data.apply(tf.data.experimental.assert_cardinality(count - start))

    def validation(share):
        data = tf.data.Dataset.from_tensor_slices(seen)
        data = data.shard(share.count, share.index)
        data = data.map(lambda inputs, label: (inputs, *plain(label)))
        return data.batch(config.batch // share.count)

    with contextlib.suppress(Stopped), stopped(stop):
        fit_stage(stage, model, batches, validation, engine)
    return pd.read_csv(stage.history) if stage.history.exists() else None


class Stopped(Exception):
    """The training was cut short."""


@contextlib.contextmanager
def stopped(steps):
    """Cut a training short after so many steps; 0 lets it go on."""
    advance, left = Progress.advance, steps

    def counted(self, figures):
        nonlocal left
        left -= 1
        advance(self, figures)

    save = StageCheckpoints.save

    def then_stop(self, *arguments, **named):
        took = save(self, *arguments, **named)
        if left == 0:
            raise Stopped
        return took

    with (
        unittest.mock.patch.object(Progress, "advance", counted),
        unittest.mock.patch.object(StageCheckpoints, "save", then_stop),
    ):
        yield


def child(script, backend="tensorflow", **environment):
    """What a process with devices of its own prints as JSON in its last line."""
    if backend == keras.backend.backend():
        done = forked.run("-c", script, **environment)
    else:
        path = os.pathsep.join([str(Path(__file__).parent), os.getcwd()])
        names = {"KERAS_BACKEND": backend, "PYTHONPATH": path, **environment}
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **names},
            capture_output=True, text=True, timeout=400,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def same(a, b, figures=FIGURES):
    for figure in figures:
        assert a[figure] == pytest.approx(b[figure], abs=1e-5), figure
