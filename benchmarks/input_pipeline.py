"""Videos per second from TFRecords, against TSN's frame folders read with PIL.

    python benchmarks/input_pipeline.py --data data/ucf101 [--videos 60] [--rounds 5]

Both make 7 segments of both streams for training: 7 RGB and 70 flow images a video, a
crop of several scales, resized to 224 pixels, mirrored half of the time. The folders
are written from the same videos first. Each reader is bound to one core, and they take
turns: load from outside hits them alike.

    python benchmarks/input_pipeline.py --data data/ucf101 --settings

compares ways of running the pipeline itself on all cores.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tsn_reader import Reader, scaled, write_video
from turns import Turns

from stfn_keras import flags
from stfn_keras.config import PixelStageConfig, option
from stfn_keras.data import pipeline
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import Source, open_data, open_source, parse
from stfn_keras.data.stream import records
from stfn_keras.video import view

OURS, TSN = "TFRecords", "frame folders, PIL"
SCALED = "frame folders, PIL, scaled"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    data: str = option("", "dataset directory")
    segments: int = option(7, "segments per video")
    size: int = option(
        224, "side of the crops in pixels; TSN's reader always takes 224"
    )
    batch: int = option(8, "videos per batch")
    videos: int = option(48, "videos that are written as folders")
    rounds: int = option(5, "rounds")
    settings: bool = option(False, "compare ways of running the pipeline instead")


def training(source: Source, config: BenchmarkConfig, epoch: int) -> tf.data.Dataset:
    """One epoch as training reads it."""
    return pipeline.training_batches(
        source,
        segments=config.segments,
        batch=config.batch,
        seed=0,
        epoch=epoch,
        augment=PixelStageConfig(),
        transform=lambda inputs, label: (inputs, label),
    )


def endless(batches: Callable[[int], tf.data.Dataset]) -> Iterator[tuple]:
    """One epoch after another."""
    epoch = 0
    while True:
        yield from batches(epoch)
        epoch += 1


def write_folders(source: Source, folder: Path, config: BenchmarkConfig) -> None:
    """Decode videos of the dataset and write each as a folder of images."""
    for number, record in enumerate(records(source).take(config.videos)):
        video = parse(source, record)
        size = video["height"], video["width"]
        codes = view.decode_flows(video["flow"], *size, source.pairs).numpy()
        frames = view.decode_frames(video["rgb"]).numpy()
        write_video(folder / f"{number:05d}", frames, codes, config.segments)


def one_core() -> None:
    """Bind this process to one core, before TensorFlow starts its threads."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def against_tsn(source: Source, config: BenchmarkConfig) -> None:
    """Print videos per second of both ways and their ratio."""
    turns, each = Turns(), 3 * config.batch
    with tempfile.TemporaryDirectory() as folder:
        write_folders(source, Path(folder), config)
        theirs = Reader(Path(folder), config.segments, source.pairs).videos()
        for number in range(config.rounds + 1):
            ours = iter(training(source, config, number))
            next(ours)  # started
            turn = turns if number else Turns()  # the first round warms up
            with turn(OURS):
                for _ in range(each // config.batch):
                    next(ours)
            del ours  # else it fills its buffers in the other's turn
            with turn(TSN):
                for _ in range(each):
                    next(theirs)
            with turn(SCALED):
                for _ in range(each):
                    scaled(next(theirs))
    for name, times in turns.times.items():
        wall = sorted(seconds for seconds, _ in times)[len(times) // 2]
        cpu = sorted(seconds for _, seconds in times)[len(times) // 2]
        print(f"{name}: {each / wall:.1f} videos/s, {1e3 * cpu / each:.1f} CPU ms each")
    print(turns.compared(TSN, OURS))
    print(turns.compared(SCALED, OURS))


def ways() -> dict[str, tuple[int, tf.data.Options]]:
    """Calls at a time, and options, by what they are called in the table."""
    cores = len(os.sched_getaffinity(0))
    pool, narrow = tf.data.Options(), tf.data.Options()
    pool.threading.private_threadpool_size = cores
    narrow.threading.private_threadpool_size = cores
    narrow.threading.max_intra_op_parallelism = 1
    unordered = tf.data.Options()
    unordered.deterministic = False
    plain = tf.data.Options()
    return {
        "as it is": (pipeline.PARALLEL, plain),
        "1 call at a time": (1, plain),
        "as many calls as cores": (cores, plain),
        "4 calls a core": (4 * cores, plain),
        "own threads, one a core": (pipeline.PARALLEL, pool),
        "own threads, operations on one": (pipeline.PARALLEL, narrow),
        "in any order": (pipeline.PARALLEL, unordered),
    }


def compared(source: Source, config: BenchmarkConfig) -> None:
    """Print what each way of running the pipeline makes of the same batches."""
    turns, as_it_is = Turns(), pipeline.PARALLEL
    for number in range(config.rounds + 1):
        some = list(ways().items())
        first = number % len(some)  # every way comes early and late
        for name, (calls, options) in some[first:] + some[:first]:
            pipeline.PARALLEL = calls
            data = training(source, config, number).with_options(options)
            pipeline.PARALLEL = as_it_is
            batches = iter(data)
            next(batches)
            turn = turns if number else Turns()
            with turn(name):
                for _ in itertools.islice(batches, 12):
                    pass
            del batches  # else it fills its buffers in the next one's turn
    for name in ways():
        print(
            f"| {name} | {1 / turns.ratio(name, 'as it is'):.2f} | "
            f"{turns.ratio(name, 'as it is', 1):.2f} |"
        )


def main(_: Sequence[str]) -> None:
    """Compare with TSN's way, or ways of running our own."""
    config = flags.read(BenchmarkConfig)
    if not config.settings:
        one_core()
    folder = open_data(config.data)
    manifest = Manifest.load(folder)
    sizes = {"rgb": config.size, "flow": config.size}
    source = open_source(folder, manifest, 1, "r", next(iter(manifest.flow)), sizes)
    (compared if config.settings else against_tsn)(source, config)


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
