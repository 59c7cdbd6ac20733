"""The fusion stage through the loop of `train.py`, on cached features, and bare.

    python benchmarks/fusion_step.py --tower resnet101 --batch 16

The loop reads a feature cache, made up here, as training does: a random snippet of each
segment. Bare steps train a network like it on one batch in memory, a `tf.function` and
nothing else: one with Keras' own Adam, one with TensorFlow's fused operation. They take
turns, step by step.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from alternating import Alternating
from turns import Turns

from stfn_keras import flags, models
from stfn_keras.config import FUSION_STAGE, TOWERS, MachineConfig, ModelConfig, option
from stfn_keras.data.share import Share
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.features import FeatureFile, training_features
from stfn_keras.training.loop import fit_stage
from stfn_keras.training.stage import Stage, fitted_model, targets_for

CLASSES, SNIPPETS, STREAMS = 101, 25, ("rgb", "flow")


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    tower: str = option("resnet101", "tower, whose features are as long", TOWERS)
    segments: int = option(7, "segments per video")
    batch: int = option(16, "videos per batch")
    turns: int = option(40, "timed steps of each")
    warmups: int = option(5, "steps of each before them")


def made_up(path: Path, videos: int, features: int) -> FeatureFile:
    """A cache of random features."""
    cached = FeatureFile(path, videos, SNIPPETS, 1, features)
    draws = np.random.default_rng(0)
    rows = np.empty(videos, cached.record(STREAMS))
    rows["label"] = draws.integers(0, CLASSES, videos)
    for stream in STREAMS:
        rows[stream] = draws.random(rows[stream].shape, np.float32)
    np.save(path, rows)
    return cached


def keras_step(model: keras.Model, batch: tuple) -> Callable[[], tf.Tensor]:
    """Forward, gradients, and Keras' Adam."""
    optimizer = keras.optimizers.Adam(FUSION_STAGE.rate)
    optimizer.build(model.trainable_variables)

    def update(gradients: list[tf.Tensor]) -> None:
        optimizer.apply(gradients, model.trainable_variables)

    return _step(model, batch, update)


def fused_step(model: keras.Model, batch: tuple) -> Callable[[], tf.Tensor]:
    """Forward, gradients, and TensorFlow's own operation for Adam."""
    weights = [v.value for v in model.trainable_variables]
    first, second = (
        [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]
        for _ in range(2)
    )

    def update(gradients: list[tf.Tensor]) -> None:
        for w, m, v, gradient in zip(weights, first, second, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle, m=m.handle, v=v.handle, beta1_power=0.9,
                beta2_power=0.999, lr=FUSION_STAGE.rate, beta1=0.9, beta2=0.999,
                epsilon=1e-7, grad=gradient,
            )  # fmt: skip

    return _step(model, batch, update)


def _step(
    model: keras.Model, batch: tuple, update: Callable[[list], None]
) -> Callable[[], tf.Tensor]:
    weights = [v.value for v in model.trainable_variables]
    inputs, labels = batch

    @tf.function
    def step(inputs: Any, labels: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)["logits"]
            loss = tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(labels["logits"], logits)
            )
        update(tape.gradient(loss, weights))
        return loss

    return lambda: step(inputs, labels).numpy()


def main(_: Sequence[str]) -> None:
    """Measure all in one run."""
    config = flags.read(BenchmarkConfig)
    built = ModelConfig(
        tower=config.tower, segments=config.segments, dropout=FUSION_STAGE.dropout
    )
    features = models.feature_size(built)
    made = [models.build_head(built, CLASSES, features) for _ in range(3)]
    network, *bare = (fitted_model(head, 0.0) for head in made)
    steps, turns = config.warmups + config.turns, Turns()
    with tempfile.TemporaryDirectory() as folder:
        cached = made_up(Path(folder, "a.npy"), steps * config.batch, features)

        def batches(epoch: int, start: int, share: Any) -> tf.data.Dataset:
            return training_features(
                [cached], STREAMS, segments=config.segments, batch=config.batch,
                seed=0, epoch=epoch, start=start, share=share,
                targets=targets_for(network, CLASSES),
            )  # fmt: skip

        batch = next(iter(batches(0, 0, Share(0, 1))))
        others = {
            "bare, Keras' Adam": keras_step(bare[0], batch),
            "bare, fused Adam": fused_step(bare[1], batch),
        }
        engine = make_engine(MachineConfig())
        fit_stage(
            Stage(
                "fusion",
                replace(FUSION_STAGE, epochs=1, batch=config.batch),
                Path(folder),
                tuple(str(number) for number in range(CLASSES)),
            ),
            network,
            batches,
            None,
            Alternating(engine, turns, others, config.warmups),
        )
    weights = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    print(f"{config.batch} videos of {config.segments} x {features} features a step, "
          f"{weights / 1e6:.1f} M weights")  # fmt: skip
    print(*turns.lines(), sep="\n")
    for name in others:
        print(turns.compared("loop", name))
        print(f"throughput, loop / {name}: {1 / turns.ratio('loop', name):.3f}")


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
