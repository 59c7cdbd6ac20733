"""Writing the feature cache against the towers alone.

    python benchmarks/feature_cache.py --data data/ucf101 --tower resnet101 --videos 8

The towers take the same number of views from memory through `predict_on_batch`, in
turns with the cache of as many videos, which reads, decodes and writes besides. Weights
are random. Ratios of CPU seconds bear load from outside better than those of wall time.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from turns import Turns

from stfn_keras import flags, models
from stfn_keras.config import TOWERS, ModelConfig, option
from stfn_keras.data.index import read_index
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import Source, open_data, open_source
from stfn_keras.training import features

CACHED, ALONE = "cache", "towers alone"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    data: str = option("", "dataset directory")
    tower: str = option("resnet101", "the towers", TOWERS)
    size: int = option(224, "side of both inputs in pixels")
    videos: int = option(8, "videos to cache in a turn; 0: all of them, in one turn")
    rounds: int = option(3, "turns of each way")


def towers(config: BenchmarkConfig) -> dict[str, keras.Model]:
    """Both towers with random weights."""
    built = {}
    for stream, network in (("rgb", "spatial"), ("flow", "temporal")):
        model = ModelConfig(
            network=network, tower=config.tower, segments=1,
            rgb_size=config.size, flow_size=config.size,
        )  # fmt: skip
        layer = models.build(model, 2).get_layer(f"{stream}_features")
        built[stream] = layer.layer
    return built


def some_videos(source: Source, folder: Path, count: int) -> Source:
    """The source with its first videos alone."""
    if not count:
        return source
    names = {file.name for file in source.files[:1]}
    ids = [row.path for row in read_index(folder) if row.shard in names][:count]
    return dataclasses.replace(source, files=source.files[:1], only=frozenset(ids))


def cache_against_towers(source: Source, config: BenchmarkConfig) -> None:
    """Print the ratio of the towers' time to the cache's."""
    built = towers(config)
    snippets = source.manifest.snippets
    size = int(built["rgb"].output_shape[-1])
    at_once = max(features.VIEWS_AT_ONCE // snippets, 1) * snippets
    draws = np.random.default_rng(0)
    held = {
        stream: draws.integers(0, 256, (at_once, *tower.input_shape[1:]), np.uint8)
        for stream, tower in built.items()
    }
    turns, number = Turns(), 0
    for stream, tower in built.items():  # traced
        tower.predict_on_batch(held[stream])
    rounds = config.rounds if config.videos else 1
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            with turns(ALONE):
                left = source.videos * snippets
                while left > 0:
                    for stream, tower in built.items():
                        tower.predict_on_batch(held[stream][: min(left, at_once)])
                    left -= at_once
            with turns(CACHED):
                features.cache_features(
                    lambda: built, size, source, Path(folder) / f"{number}.npy", 1,
                    "cache",
                )  # fmt: skip
    views = source.videos * snippets
    print(f"{config.tower}, {config.size} pixels, {views} views of two towers a turn")
    for line in turns.lines():
        print(line)
    print(turns.compared(ALONE, CACHED) + " (the cache's part of the towers' rate)")


def main(_: Sequence[str]) -> None:
    """Measure and print."""
    config = flags.read(BenchmarkConfig)
    folder = open_data(config.data)
    manifest = Manifest.load(folder)
    flow = next(iter(manifest.flow))
    sizes = {"rgb": config.size, "flow": config.size}
    source = open_source(folder, manifest, 1, "r", flow, sizes)
    cache_against_towers(some_videos(source, folder, config.videos), config)


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
