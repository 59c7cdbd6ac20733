"""A training step on two logical devices and two cores, against one device on one core.

    python benchmarks/devices.py --tower resnet50 --size 160 --images 32

Each is a process of its own, restricted to its cores, with the same global batch in
memory and the steps that `train.py` takes; they take turns. Printed is also one device
that may use both cores, with which TensorFlow divides single operations.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from absl import flags as absl_flags
from turns import Child, Turns, serve

from stfn_keras import flags
from stfn_keras.config import RGB_STAGE, TOWERS, MachineConfig, ModelConfig, option

CLASSES = 101
TWO = "two devices, two cores"
ONE = "one device, one core"
WIDE = "one device, two cores"
CORES = {TWO: {0, 1}, ONE: {0}, WIDE: {0, 1}}


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    tower: str = option("resnet50", "tower", TOWERS)
    images: int = option(32, "images per batch, in all")
    size: int = option(160, "side of the images in pixels")
    turns: int = option(5, "timed steps of each")


def train_steps(config: BenchmarkConfig, devices: int) -> None:
    """In a child process: take steps when asked."""
    import tensorflow as tf

    from stfn_keras import models
    from stfn_keras.data.share import Share
    from stfn_keras.training.engines.make import make_engine
    from stfn_keras.training.stage import Stage, fitted_model, prepared, targets_for

    strategy = "mirrored" if devices > 1 else "one_device"
    engine = make_engine(MachineConfig(strategy=strategy, cpu_devices=devices))
    built = ModelConfig(
        network="spatial", tower=config.tower, segments=1, rgb_size=config.size
    )
    stage = Stage(
        "rgb", replace(RGB_STAGE, batch=config.images), None, ("a",) * CLASSES
    )
    with engine.scope():
        whole = models.build(built, CLASSES)
        models.freeze(whole.get_layer("rgb_features").layer, 0.0, True)
        model = fitted_model(whole, 0.0)
        fitted = prepared(model, stage, 1)
    steps = engine.steps(fitted)
    to_targets = targets_for(model, CLASSES)

    def batches(share: Share) -> tf.data.Dataset:
        count = config.images // share.count
        shape = (count, 1, config.size, config.size, 3)
        frames = tf.cast(tf.random.uniform(shape, 0, 256, tf.int32), tf.uint8)
        labels = tf.range(count, dtype=tf.int64)
        one = ({"rgb": frames}, *to_targets(labels))
        return tf.data.Dataset.from_tensors(one).repeat(1_000_000)

    waiting: Any = iter(engine.batches(batches))
    serve(lambda: float(steps.train(next(waiting))["loss"]))


def main(_: Sequence[str]) -> None:
    """Measure all in one run."""
    config, devices = flags.read(BenchmarkConfig), absl_flags.FLAGS.child
    if devices:
        train_steps(config, devices)
        return
    command = [sys.executable, *sys.argv, "--child"]
    turns = Turns()
    children = {
        name: Child([*command, "2" if name == TWO else "1"], cores)
        for name, cores in CORES.items()
    }
    for _ in range(config.turns):
        for name, child in children.items():
            turns.add(name, *child.turn())
    for child in children.values():
        child.close()
    print(f"{config.tower}, {config.images} images of {config.size} pixels a step")
    print(*turns.lines(), sep="\n")
    for name in (TWO, WIDE):
        print(f"speed, {name} / {ONE}: {1 / turns.ratio(name, ONE):.2f}")


if __name__ == "__main__":
    absl_flags.DEFINE_integer("child", 0, "devices of a child process; 0: the parent")
    flags.define(BenchmarkConfig)
    flags.run(main)
