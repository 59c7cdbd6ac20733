"""Cropping flow before its channels are joined, against joining them first.

    python benchmarks/flow_crops.py --data data/ucf101

Both make the same bits of the same snippets, by turns, on one core.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from turns import Turns

from stfn_keras import flags
from stfn_keras.config import option
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import open_data, open_source, parse
from stfn_keras.data.stream import records
from stfn_keras.video import view

SCALES = (1.0, 0.875, 0.75, 0.66)
CROPPED, JOINED = "cropped first", "joined first"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    data: str = option("", "dataset directory")
    videos: int = option(10, "videos, of all whose snippets a crop is made")
    size: int = option(224, "side of the crops in pixels")
    rounds: int = option(5, "turns of each way")


def main(_: Sequence[str]) -> None:
    """Measure and print."""
    config = flags.read(BenchmarkConfig)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = open_data(config.data)
    manifest = Manifest.load(folder)
    sizes = {"flow": config.size}
    source = open_source(folder, manifest, 1, "r", next(iter(manifest.flow)), sizes)
    videos = [parse(source, record) for record in records(source).take(config.videos)]

    @tf.function(reduce_retracing=True)
    def cropped(
        jpegs: tf.Tensor, h: tf.Tensor, w: tf.Tensor, c: tf.Tensor
    ) -> tf.Tensor:
        return view.cropped_flows(jpegs, h, w, source.pairs, c, config.size)

    @tf.function(reduce_retracing=True)
    def joined(jpegs: tf.Tensor, h: tf.Tensor, w: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
        codes = view.decode_flows(jpegs, h, w, source.pairs)
        return view.crop_flow(codes, c, config.size)

    turns = Turns()
    for number in range(config.rounds + 1):
        made = {}
        for name, way in ((CROPPED, cropped), (JOINED, joined)):
            turn = turns if number else Turns()  # the first round traces
            with turn(name):
                made[name] = [
                    way(
                        video["flow"], video["height"], video["width"],
                        view.random_crop(
                            video["height"], video["width"],
                            tf.constant([number, index]), SCALES, True,
                        ),
                    )
                    for index, video in enumerate(videos)
                ]  # fmt: skip
        for one, other in zip(made[CROPPED], made[JOINED], strict=True):
            np.testing.assert_array_equal(one, other)
    print(turns.compared(CROPPED, JOINED))


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
