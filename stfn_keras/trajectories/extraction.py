"""Descriptors of many videos, in parallel, each kept as soon as it is there.

    rejected = extract(videos, cache, config, decoding, skips=(0, 1), workers=2)

A thread for each worker hands videos to a process of its own, which is replaced when
it crashes. What is in the cache already is not made again, so a killed extraction
goes on where it was.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np
from tqdm import tqdm

from stfn_keras.data.ledger import Rejected
from stfn_keras.errors import UserError
from stfn_keras.trajectories.cache import DescriptorCache
from stfn_keras.trajectories.extractor import describe_video
from stfn_keras.trajectories.settings import ExtractionConfig
from stfn_keras.trajectories.videos import SourceVideo
from stfn_keras.video.container import VideoError
from stfn_keras.video.limits import DecodingConfig

ATTEMPTS = 2  # at a video whose process crashed: was it the video itself?

Describe = Callable[..., dict[int, np.ndarray]]
_Event = tuple[SourceVideo, dict[int, np.ndarray] | Rejected | BaseException]


def extract(
    videos: Sequence[SourceVideo],
    cache: DescriptorCache,
    config: ExtractionConfig,
    decoding: DecodingConfig,
    skips: tuple[int, ...],
    workers: int = 1,
    describe: Describe = describe_video,
) -> list[Rejected]:
    """Extract what the cache lacks.

    Args:
        videos: To describe.
        cache: Where descriptors are kept.
        config: What is extracted.
        decoding: Limits, and what becomes of damage.
        skips: Frame skips.
        workers: Processes at once, 1 or more.
        describe: What they do with a video; an importable function.

    Returns:
        The videos that cannot be used, in the order they were given.

    Raises:
        UserError: Another extraction works in the cache, or it cannot be written.
    """
    rejected: dict[str, Rejected] = {}
    with cache.locked():
        todo = [(video, cache.missing(video, skips)) for video in videos]
        waiting: queue.SimpleQueue = queue.SimpleQueue()
        for video, lacking in todo:
            if lacking:
                waiting.put((video, lacking))
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        stop = threading.Event()
        arguments = (waiting, events, stop, config, decoding, describe)
        team = [
            threading.Thread(target=_work, args=arguments, daemon=True)
            for _ in range(min(workers, waiting.qsize()))
        ]
        total, done = len(videos), len(videos) - waiting.qsize()
        with tqdm(
            desc="trajectories", total=total, initial=done, unit="video",
            dynamic_ncols=True,
        ) as bar:  # fmt: skip
            try:
                for thread in team:
                    thread.start()
                for _ in range(total - done):
                    video, outcome = events.get()
                    if isinstance(outcome, BaseException):
                        raise outcome
                    if isinstance(outcome, Rejected):
                        rejected[video.id] = outcome
                    else:
                        for skip, found in outcome.items():
                            cache.save(video, skip, found)
                    bar.update()
            finally:
                stop.set()
                for thread in team:
                    thread.join()
    return [rejected[video.id] for video in videos if video.id in rejected]


def _work(
    waiting: queue.SimpleQueue,
    events: "queue.SimpleQueue[_Event]",
    stop: threading.Event,
    config: ExtractionConfig,
    decoding: DecodingConfig,
    describe: Describe,
) -> None:
    """Describe one video after another until none is left."""
    pool: ProcessPoolExecutor | None = None
    try:
        while not stop.is_set():
            video, skips = waiting.get_nowait()
            for attempt in range(ATTEMPTS):
                pool = pool or _process()
                try:
                    events.put(
                        (video, _described(pool, describe, video, skips, config,
                                           decoding))
                    )  # fmt: skip
                    break
                except BrokenProcessPool:
                    pool.shutdown(wait=False)
                    pool = None
                    if attempt + 1 == ATTEMPTS:
                        events.put((video, Rejected(video.id, "crashed")))
    except queue.Empty:
        pass
    except BaseException as error:
        events.put((video, error))
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _described(
    pool: ProcessPoolExecutor,
    describe: Describe,
    video: SourceVideo,
    skips: tuple[int, ...],
    config: ExtractionConfig,
    decoding: DecodingConfig,
) -> dict[int, np.ndarray] | Rejected:
    task = pool.submit(
        describe, video.path, config, skips, decoding, video.segment, video.key
    )
    try:
        return task.result()
    except VideoError as error:
        return Rejected(video.id, error.reason, error.declared, error.decoded)
    except (BrokenProcessPool, UserError):
        raise
    except MemoryError:
        return Rejected(video.id, "too large")
    except Exception:  # whatever a library makes of a strange file
        return Rejected(video.id, "crashed")


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
    )


def _begin(parent: int) -> None:
    """In the new process: end when the one that started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
