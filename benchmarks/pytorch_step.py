"""A ResNet-101 training step: Keras on TensorFlow and on JAX against PyTorch, one core.

    python benchmarks/pytorch_step.py --torch_python TORCH_ENV/bin/python --images 21

PyTorch needs an environment of its own: `pip install torch==2.13.0`, the CPU's wheel.
All train every weight from a batch in memory: float32, SGD with momentum, batch
normalisation on. Each is a process restricted to the same core; they take turns.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from turns import Child, Turns, serve

from stfn_keras import flags
from stfn_keras.config import RGB_STAGE, MachineConfig, ModelConfig, option

CLASSES = 101
KERAS_WAYS = ("tensorflow", "jax")
TORCH_WAYS = ("channels_last", "contiguous", "compiled")


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    torch_python: str = option("", "the Python that has torch; empty: without it")
    ways: tuple[str, ...] = option(
        ("tensorflow", "channels_last"),
        "of Keras: tensorflow, jax; of PyTorch: channels_last, contiguous, compiled",
        (*KERAS_WAYS, *TORCH_WAYS),
    )
    images: int = option(21, "images per batch")
    size: int = option(224, "side of the images in pixels")
    turns: int = option(5, "timed steps of each")
    core: int = option(0, "the core")


def keras_step(config: BenchmarkConfig) -> Callable[[], float]:
    """The step of `train.py`, nothing frozen, under the backend of this process."""
    import numpy as np

    from stfn_keras import models
    from stfn_keras.training.engines.make import make_engine
    from stfn_keras.training.stage import Stage, fitted_model, prepared

    engine = make_engine(MachineConfig())
    built = ModelConfig(
        network="spatial", segments=1, rgb_size=config.size, dropout=0.0
    )
    model = fitted_model(models.build(built, CLASSES), 0.0)
    settings = replace(RGB_STAGE, weight_decay=0.0, clip_norm=0.0, batch=config.images)
    stage = Stage("rgb", settings, Path(), ("a",) * CLASSES)
    steps = engine.steps(prepared(model, stage, 1))
    draws = np.random.default_rng(0)
    shape = (config.images, 1, config.size, config.size, 3)
    labels = np.eye(CLASSES, dtype=np.float32)[np.arange(config.images) % CLASSES]
    batch: Any = {"rgb": draws.integers(0, 256, shape, np.uint8)}, {"logits": labels}
    return lambda: float(steps.train(batch)["loss"])


def children(config: BenchmarkConfig) -> dict[str, Child]:
    """A process of each way, on the one core."""
    shared = [f"--images={config.images}", f"--size={config.size}"]
    found = {}
    for way in config.ways:
        environment = {"OMP_NUM_THREADS": "1"}
        if way in KERAS_WAYS:
            command = [sys.executable, __file__, *shared, "--child"]
            environment["KERAS_BACKEND"] = way
        else:
            script = str(Path(__file__).with_name("pytorch_resnet.py"))
            command = [config.torch_python, script, *shared, f"--way={way}"]
        found[way] = Child(command, {config.core}, environment)
    return found


def main(_: Sequence[str]) -> None:
    """Measure all in one run."""
    config, turns = flags.read(BenchmarkConfig), Turns()
    if absl_flags.FLAGS.child:
        serve(keras_step(config))
        return
    processes = children(config)
    for _ in range(config.turns):
        for way, child in processes.items():
            turns.add(way, *child.turn())
    for child in processes.values():
        child.close()
    print(f"ResNet-101, {config.images} images of {config.size} pixels a step")
    print(*turns.lines(), sep="\n")
    first, *others = config.ways
    for way in others:
        print(turns.compared(first, way))


if __name__ == "__main__":
    absl_flags.DEFINE_bool("child", False, "in a child process")
    flags.define(BenchmarkConfig)
    flags.run(main)
