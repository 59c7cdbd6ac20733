"""What a training step takes of memory: as estimated, as measured, and with recompute.

    python benchmarks/step_memory.py --tower resnet50 --size 160 --batch 24

Every row is a process of its own with one thread, which makes a few steps of a tower's
stage. Measured is how far the process grew from the built network to its peak, the
first step's own needs included.
"""

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from stfn_keras import flags
from stfn_keras.config import ModelConfig, option

STEPS = 3


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    tower: str = option("resnet50", "the tower")
    size: int = option(160, "side of the images in pixels")
    batch: int = option(8, "images per batch")
    precision: str = option("float32", "float32 or bfloat16")


def measured(config: BenchmarkConfig, recompute: bool) -> dict:
    """Megabytes and CPU seconds of a step, in this process."""
    import numpy as np
    import psutil
    import tensorflow as tf

    from stfn_keras import models
    from stfn_keras.config import MachineConfig, StageConfig
    from stfn_keras.training.engines.engine import Fitted
    from stfn_keras.training.engines.make import make_engine
    from stfn_keras.training.memory import estimate
    from stfn_keras.training.objective import Objective
    from stfn_keras.training.optimizers import make_optimizer
    from stfn_keras.training.precision import precision_scope

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    engine = make_engine(MachineConfig(strategy="one_device"))
    settings = ModelConfig(
        network="spatial", tower=config.tower, segments=1, rgb_size=config.size
    )
    with engine.scope(), precision_scope(config.precision):
        network = models.build(settings, 101)
        if recompute:
            models.recompute_towers(network)
        model = type(network)(network.input, {"logits": network.output["logits"]})
        optimizer = make_optimizer(StageConfig(optimizer="sgd", rate=1e-3), STEPS)
        optimizer.build(model.trainable_variables)
    fitted = Fitted(model, Objective({"logits": 1.0}, 101), optimizer)
    shape = (config.batch, 1, config.size, config.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    labels = np.eye(101, dtype="float32")[np.arange(config.batch) % 101]
    batch = ({"rgb": tf.constant(images)}, {"logits": tf.constant(labels)})
    steps, seconds = engine.steps(fitted), []
    before = psutil.Process().memory_info().rss
    for _ in range(STEPS):
        began = time.process_time()
        float(steps.train(batch)["loss"])
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "grown": (peak - before) / 2**20,
        "estimated": estimate(fitted, config.batch).to_come / 2**20,
        "seconds": min(seconds),
    }


def main(_: Sequence[str]) -> None:
    """Measure both ways, each in a process of its own, and print them."""
    config, rows = flags.read(BenchmarkConfig), []
    for recompute in (False, True):
        with get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measured, (config, recompute)))
        row = rows[-1]
        share = row["estimated"] / row["grown"]
        print(
            f"{'recompute' if recompute else 'plain':10} grown {row['grown']:6.0f} MB, "
            f"estimated {row['estimated']:6.0f} MB ({share:.2f}), "
            f"{row['seconds']:.2f} CPU s per step",
            flush=True,
        )
    plain, again = rows
    print(
        f"recompute / plain: memory {again['grown'] / plain['grown']:.2f}, "
        f"time {again['seconds'] / plain['seconds']:.2f}"
    )


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
