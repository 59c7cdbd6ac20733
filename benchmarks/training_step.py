"""A tower's training step through the loop of `train.py`, against a bare one.

    python benchmarks/training_step.py --tower resnet101 --videos 7 --segments 3

Both train the same network (dropout, partial batch normalisation, SGD with momentum, L2
and a clipped norm) on a batch held in memory. The bare step is one `tf.function` of
TensorFlow's own operations: forward, gradients, update, and nothing else. They take
turns, step by step; the loop's turn is all that it does between two steps.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from alternating import Alternating
from turns import Turns

from stfn_keras import flags, models
from stfn_keras.config import RGB_STAGE, TOWERS, MachineConfig, ModelConfig, option
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.loop import fit_stage
from stfn_keras.training.stage import Stage, fitted_model, targets_for

CLASSES = 101


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    tower: str = option("resnet101", "tower", TOWERS)
    videos: int = option(7, "videos per batch")
    segments: int = option(3, "images per video")
    size: int = option(224, "side of the images in pixels")
    turns: int = option(8, "timed steps of each")
    warmups: int = option(2, "steps of each before them")


def network(config: BenchmarkConfig) -> keras.Model:
    """The spatial stream as its stage trains it."""
    built = ModelConfig(
        network="spatial", tower=config.tower, segments=config.segments,
        rgb_size=config.size, dropout=RGB_STAGE.dropout,
    )  # fmt: skip
    whole = models.build(built, CLASSES)
    models.freeze(whole.get_layer("rgb_features").layer, 0.0, partial_batchnorm=True)
    return fitted_model(whole, 0.0)


def bare_step(model: keras.Model, batch: tuple) -> Callable[[], tf.Tensor]:
    """Forward, gradients and update in TensorFlow's own operations."""
    weights = [v.value for v in model.trainable_variables]
    momenta = [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]
    decayed = [v.name == "kernel" for v in model.trainable_variables]
    inputs, labels = batch

    @tf.function
    def step(inputs: Any, labels: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)["logits"]
            loss = tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(labels["logits"], logits)
            )
        gradients = tape.gradient(loss, weights)
        gradients, _ = tf.clip_by_global_norm(gradients, RGB_STAGE.clip_norm)
        for weight, momentum, gradient, decay in zip(
            weights, momenta, gradients, decayed, strict=True
        ):
            if decay:
                gradient = gradient + RGB_STAGE.weight_decay * weight
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight.handle, accum=momentum.handle, lr=RGB_STAGE.rate,
                grad=gradient, momentum=0.9,
            )  # fmt: skip
        return loss

    return lambda: step(inputs, labels).numpy()


def main(_: Sequence[str]) -> None:
    """Measure both in one run."""
    config = flags.read(BenchmarkConfig)
    keras.utils.set_random_seed(0)
    shape = (config.videos, config.segments, config.size, config.size, 3)
    frames = tf.cast(tf.random.uniform(shape, 0, 256, tf.int32), tf.uint8)
    labels = tf.range(config.videos, dtype=tf.int64) % CLASSES
    trained, other = network(config), network(config)
    batch = ({"rgb": frames}, *targets_for(other, CLASSES)(labels))
    steps, turns = config.warmups + config.turns, Turns()
    engine = Alternating(
        make_engine(MachineConfig()),
        turns,
        {"bare": bare_step(other, batch)},
        config.warmups,
    )
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            "rgb",
            replace(RGB_STAGE, epochs=1, batch=config.videos),
            Path(folder),
            tuple(str(number) for number in range(CLASSES)),
        )

        def batches(epoch: int, start: int, share: Any) -> tf.data.Dataset:
            data = tf.data.Dataset.from_tensors(batch).repeat(steps)
            return data.apply(tf.data.experimental.assert_cardinality(steps))

        fit_stage(stage, trained, batches, None, engine)
    images = config.videos * config.segments
    print(f"{config.tower}, {images} images of {config.size} pixels a step")
    print(*turns.lines(), turns.compared("loop", "bare"), sep="\n")


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
