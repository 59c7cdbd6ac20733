"""The folded two-tower forward against its two towers, one after the other.

    python benchmarks/two_towers.py --tower resnet101 --segments 7

The network sees one video of T segments, the towers the same images as a batch. Each is
one `tf.function` at inference; they take turns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from turns import Turns

from stfn_keras import flags, models
from stfn_keras.config import TOWERS, ModelConfig, option

CLASSES = 101
TWO = ("late_fusion", "feature_fusion", "stfn")


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    tower: str = option("resnet101", "tower", TOWERS)
    network: str = option(
        "late_fusion", "late_fusion: towers alone; stfn: fusion blocks too", TWO
    )
    segments: int = option(7, "segments T")
    videos: int = option(1, "videos per batch")
    size: int = option(0, "side of the images in pixels; 0: the tower's own")
    turns: int = option(10, "timed passes of each")
    warmups: int = option(2, "passes of each before them")


def forward(*models_and_inputs: tuple[keras.Model, object]) -> Callable[[], list]:
    """A pass through models, each a function of its own."""
    steps = [
        (tf.function(lambda x, model=model: model(x, training=False)), inputs)
        for model, inputs in models_and_inputs
    ]

    def run() -> list:
        return [tf.nest.map_structure(np.asarray, step(x)) for step, x in steps]

    return run


def main(_: Sequence[str]) -> None:
    """Measure both in one run."""
    config, turns = flags.read(BenchmarkConfig), Turns()
    built = ModelConfig(
        network=config.network,
        tower=config.tower,
        segments=config.segments,
        rgb_size=config.size,
    )
    network = models.build(built, CLASSES)
    towers = {s: network.get_layer(f"{s}_features").layer for s in built.streams}
    images, videos = {}, {}
    for stream, tower in towers.items():
        shape = (config.videos * config.segments, *tower.input_shape[1:])
        images[stream] = tf.cast(tf.random.uniform(shape, 0, 256, tf.int32), tf.uint8)
        shape = (config.videos, config.segments, *shape[1:])
        videos[stream] = tf.reshape(images[stream], shape)
    ways = {
        "folded network": forward((network, videos)),
        "sum of its towers": forward(*((towers[s], images[s]) for s in towers)),
    }
    for number in range(config.warmups + config.turns):
        kept = turns if number >= config.warmups else Turns()
        for name, run in ways.items():
            with kept(name):
                run()
    shown = f"{config.videos} x {config.segments} images of each stream"
    size = towers["rgb"].input_shape[1]
    print(f"{config.network}, {config.tower}, {shown}, {size} pixels")
    print(*turns.lines(), turns.compared(*ways), sep="\n")


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
