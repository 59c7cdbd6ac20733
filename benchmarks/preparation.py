"""Preparation against a bare loop over the same clips, and the workers' memory.

    python benchmarks/preparation.py --videos UCF-101 --split_lists ucfTrainTestlist
    python benchmarks/preparation.py ... --flow tvl1_fast --clips 60 --snippets 3

The bare loop decodes each clip once in this process, computes the flow of the same
pairs and encodes the same images: no counting, no checks, no records, no files. The
command does the same work with one worker and with two. All in one run.
"""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import psutil

from data_prep.plan import Configs, DatasetOptions, taken
from data_prep.prepare import prepare_dataset
from stfn_keras import flags
from stfn_keras.config import PreparationConfig, option
from stfn_keras.data.protocols import discover
from stfn_keras.video import flow, image
from stfn_keras.video.prepare import snippet_positions


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run."""

    videos: str = option("", "folder of UCF101 clips")
    split_lists: str = option("", "folder of UCF101's lists")
    clips: int = option(0, "how many of them; 0: all")
    flow: str = option("dis", "flow preset")
    snippets: int = option(25, "snippets per clip")


def bare(paths: list[Path], config: PreparationConfig) -> tuple[int, float]:
    """Do the work and nothing else; returns pairs and seconds."""
    started, pairs = time.perf_counter(), 0
    cv2.setNumThreads(1)
    for path in paths:
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        positions = set(snippet_positions(len(frames), config))
        grays: dict[int, np.ndarray] = {}
        codes: dict[int, np.ndarray] = {}

        def gray(index: int, grays: dict = grays, frames: list = frames) -> np.ndarray:
            if index not in grays:
                grays[index] = cv2.cvtColor(frames[index], cv2.COLOR_RGB2GRAY)
            return grays[index]

        for position in sorted(positions):
            image.encode_rgb(frames[position])
            for pair in range(position, position + config.pairs):
                if pair not in codes:
                    field = flow.compute(config.flow[0], gray(pair), gray(pair + 1))
                    codes[pair] = flow.quantise(field)
            stack = [codes[position + offset] for offset in range(config.pairs)]
            image.encode_flow(np.stack(stack))
        pairs += len(codes)
    return pairs, time.perf_counter() - started


@contextmanager
def watched() -> Iterator[list[int]]:
    """Collect the largest resident size of each child process, in bytes."""
    peaks: dict[int, int] = {}
    result: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            for child in psutil.Process().children():
                try:
                    size = child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                peaks[child.pid] = max(peaks.get(child.pid, 0), size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield result
    finally:
        done.set()
        thread.join()
        result += [peak for peak in peaks.values() if peak > 50e6]  # not the tracker


def main(argv: Sequence[str]) -> None:
    """Run the three and print a line for each."""
    settings = flags.read(BenchmarkConfig)
    config = PreparationConfig(flow=(settings.flow,), snippets=settings.snippets)
    videos, lists = Path(settings.videos), Path(settings.split_lists)
    inputs = discover("ucf101", videos, lists)
    paths = [videos / video.file for video in taken(inputs.videos, settings.clips)]
    pairs, seconds = bare(paths, config)
    base = pairs / seconds
    print(f"{len(paths)} clips, {settings.flow}, {pairs} pairs", flush=True)
    print(f"bare loop:  {seconds:7.1f} s  {base:7.1f} pairs/s", flush=True)
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder, watched() as peaks:
            options = DatasetOptions(
                videos=settings.videos,
                split_lists=settings.split_lists,
                protocol="ucf101",
                out=f"{folder}/data",
                limit=settings.clips,
                workers=workers,
            )
            started = time.perf_counter()
            prepare_dataset(options, Configs(config))
            seconds = time.perf_counter() - started
        rate = pairs / seconds
        memory = ", ".join(f"{peak / 1e6:.0f}" for peak in sorted(peaks))
        print(
            f"{workers} worker(s): {seconds:7.1f} s  {rate:7.1f} pairs/s  "
            f"{rate / base:.2f} of the bare loop; peak MB of each process: {memory}",
            flush=True,
        )


if __name__ == "__main__":
    flags.define(BenchmarkConfig)
    flags.run(main)
