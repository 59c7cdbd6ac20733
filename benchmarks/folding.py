"""Our folding TimeDistributed against Keras' own, on one tower; prints ratios.

python benchmarks/folding.py --tower mobilenet_v2 --segments 8
"""

import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import flags as absl_flags

from stfn_keras import flags, models
from stfn_keras.config import TOWERS, ModelConfig


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call, after one call to warm up."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main(_: Sequence[str]) -> None:
    """Measure both wrappers around the same tower in one run."""
    values = absl_flags.FLAGS
    config = ModelConfig(tower=values.tower, segments=values.segments)
    tower = models.build_tower(config, "rgb")
    shape = (values.segments, *tower.input_shape[1:])
    frames = tf.random.uniform((values.batch, *shape), 0, 256, tf.int32)
    frames = tf.cast(frames, tf.uint8)
    found, nodes, outputs = {}, {}, {}
    for name, wrapper in (
        ("unrolled", keras.layers.TimeDistributed),
        ("folded", models.TimeDistributed),
    ):
        inputs = keras.Input(shape, dtype="uint8")
        model = keras.Model(inputs, wrapper(tower)(inputs))
        step = tf.function(lambda x, model=model: model(x, training=False))
        graph = step.get_concrete_function(frames).graph
        nodes[name] = len(graph.as_graph_def().node)
        found[name] = seconds(lambda step=step: step(frames).numpy(), values.repeats)
        outputs[name] = step(frames).numpy()
    difference = np.abs(outputs["unrolled"] - outputs["folded"]).max()
    print(f"{values.tower}, T = {values.segments}, batch {values.batch}")
    print(f"nodes: {nodes['unrolled']} unrolled, {nodes['folded']} folded")
    print(f"forward, unrolled / folded: {found['unrolled'] / found['folded']:.2f}")
    print(f"largest difference of the outputs: {difference:.1e}")


if __name__ == "__main__":
    absl_flags.DEFINE_enum("tower", "mobilenet_v2", TOWERS, "tower")
    absl_flags.DEFINE_integer("segments", 8, "segments T")
    absl_flags.DEFINE_integer("batch", 4, "videos per batch")
    absl_flags.DEFINE_integer("repeats", 10, "timed forward passes")
    flags.run(main)
