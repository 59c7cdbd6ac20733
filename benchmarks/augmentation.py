"""What augmentation costs the input pipeline, against crops and mirror images alone.

    python benchmarks/augmentation.py --data data/ucf101 --segments 3 --size 224

Every setting reads the same batches in turns, several rounds in one run. CPU seconds of
the whole process are compared, since other programs' load does not count there: a
pipeline that waits for the cores is as much slower.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras import flags
from stfn_keras.config import PixelStageConfig, option
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import training_batches
from stfn_keras.data.source import open_data, open_source

PLAIN = "crops and mirror images"
SETTINGS = {
    PLAIN: PixelStageConfig(),
    "1 operation": PixelStageConfig(randaugment=1),
    "2 operations": PixelStageConfig(randaugment=2),
    "erasing, 0.25": PixelStageConfig(erase=0.25),
    "mixup": PixelStageConfig(mixup=0.2),
    "2 operations, erasing, mixup": PixelStageConfig(
        randaugment=2, erase=0.25, mixup=0.2
    ),
}
STREAMS = {"rgb": ("rgb",), "flow": ("flow",), "both": ("rgb", "flow")}


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    data: str = option("", "dataset directory")
    streams: tuple[str, ...] = option(
        ("rgb", "flow", "both"), "rgb, flow or both, each a row", tuple(STREAMS)
    )
    segments: int = option(3, "segments per video")
    size: int = option(224, "side of the crops in pixels")
    batch: int = option(16, "videos per batch")
    batches: int = option(14, "batches per round, of one epoch")
    rounds: int = option(3, "rounds; the fastest one counts")


def seconds(data: tf.data.Dataset) -> float:
    """CPU seconds that reading the dataset takes."""
    began = time.process_time()
    for _ in data:
        pass
    return time.process_time() - began


def measured(config: BenchmarkConfig, stream: str) -> dict[str, float]:
    """CPU milliseconds per video of each setting, the least of the rounds."""
    folder = open_data(config.data)
    manifest = Manifest.load(folder)
    sizes = dict.fromkeys(STREAMS[stream], config.size)
    source = open_source(folder, manifest, 1, "r", next(iter(manifest.flow)), sizes)
    classes = len(manifest.labels)
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for number in range(config.rounds + 1):  # the first one warms up
        for name, augment in SETTINGS.items():
            data = training_batches(
                source,
                segments=config.segments,
                batch=config.batch,
                seed=0,
                epoch=number,
                augment=augment,
                transform=lambda inputs, label: (
                    inputs,
                    {"logits": tf.one_hot(label, classes)},
                ),
            )
            found[name].append(seconds(data.take(config.batches)))
    videos = config.batch * config.batches
    return {name: 1e3 * min(times[1:]) / videos for name, times in found.items()}


def main(_: Sequence[str]) -> None:
    """Measure and print a Markdown table."""
    config = flags.read(BenchmarkConfig)
    rows = {stream: measured(config, stream) for stream in config.streams}
    print(
        f"{Path(config.data).name}, {config.segments} segments, {config.size} pixels, "
        f"batches of {config.batch}: CPU ms per video, and throughput against plain\n"
    )
    print("| | " + " | ".join(rows) + " |")
    print("|---" * (1 + len(rows)) + "|")
    for name in SETTINGS:
        cells = [
            f"{times[name]:.1f}, {np.divide(times[PLAIN], times[name]):.2f}"
            for times in rows.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
