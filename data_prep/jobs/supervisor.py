"""The local supervisor: so many shard jobs at once, each with a decoding process.

    run_jobs(jobs, workers=2, progress=lambda outcome: bar.update())

A thread per worker runs jobs and writes shards; everything that takes time or may
crash happens in the worker's decoding process. No process pool: a pool loses every
job when one process crashes.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence

from data_prep.jobs.isolated import Decoder, Prepare, ProcessLimits, StoppedError
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import Job, Outcome, run_job
from stfn_keras.errors import UserError


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    progress: Callable[[Outcome], None],
    prepare: Prepare = prepare_item,
) -> None:
    """Run shard jobs until all are done.

    Args:
        jobs: Descriptions of shards.
        workers: Decoding processes at once, 1 or more.
        progress: Called in the calling thread after each video.
        prepare: What the processes do with a video; an importable function.

    Raises:
        UserError: A shard cannot be made; names it. The others are stopped, and what
            they finished stays.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    # An outcome, an error that ends the run, or None from a worker that is done.
    events: queue.SimpleQueue[Outcome | Exception | None] = queue.SimpleQueue()
    team = [
        _Worker(waiting, events, Decoder(ProcessLimits(**job["limits"]), prepare))
        for job in jobs[:workers]
    ]
    try:
        for worker in team:
            worker.start()
        working = len(team)
        while working:
            event = events.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                working -= 1
            else:
                progress(event)
    finally:
        # A second Ctrl-C must not leave a worker unstopped.
        with contextlib.ExitStack() as stack:
            for worker in team:
                stack.callback(worker.join)
            for worker in team:
                stack.callback(worker.stop)


class _Worker:
    """A thread that runs one job after another."""

    def __init__(
        self, waiting: queue.SimpleQueue, events: queue.SimpleQueue, decoder: Decoder
    ) -> None:
        self._waiting = waiting
        self._events = events
        self._decoder = decoder
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._decoder.stop()

    def join(self) -> None:
        if self._thread.ident:  # an interrupt may come before it starts
            self._thread.join()

    def _run(self) -> None:
        job: Job = {}
        try:
            with self._decoder:
                while True:
                    job = self._waiting.get_nowait()
                    run_job(job, self._events.put, self._decoder)
        except (queue.Empty, StoppedError):
            self._events.put(None)
        except (UserError, OSError) as error:
            reason = " ".join(str(error).split())
            self._events.put(
                UserError(
                    f"shard {job['file']} cannot be made: {reason}; the same command "
                    "continues"
                )
            )
        except Exception as error:
            self._events.put(error)
