"""The local supervisor: one spawned process per shard, so many at once.

    run_jobs(jobs, workers=2, progress=lambda rejected: bar.update())

Plain processes, because a pool loses every job when one worker crashes.
"""

import json
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from data_prep.job import Job, run_job
from stfn_keras.errors import UserError


@dataclass
class _Worker:
    job: Job
    process: BaseProcess
    done: bool = False


def run_jobs(
    jobs: Sequence[Job], workers: int, progress: Callable[[str | None], None]
) -> None:
    """Run shard jobs in child processes until all are done.

    Args:
        jobs: Descriptions of shards.
        workers: Processes at once, 1 or more.
        progress: Called after each video with None, or with why it is rejected.

    Raises:
        UserError: A worker failed or died; names its shard. The others are stopped,
            and what they finished stays.
    """
    waiting = deque(jobs)
    running: dict[Connection, _Worker] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                connection, worker = _start(waiting.popleft())
                running[connection] = worker
            ready = wait(list(running))
            for connection in [c for c in running if c in ready]:
                if not _receive(connection, running[connection], progress):
                    del running[connection]
    finally:
        for worker in running.values():
            worker.process.terminate()
        for worker in running.values():
            worker.process.join()


def _start(job: Job) -> tuple[Connection, _Worker]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, theirs), daemon=True)
    with _interrupts_held():
        process.start()
    # The last copy of their end must be theirs, for its death to be seen.
    theirs.close()
    return ours, _Worker(job, process)


def _receive(
    connection: Connection, worker: _Worker, progress: Callable[[str | None], None]
) -> bool:
    """Take one message; return whether more are to come."""
    file = worker.job["file"]
    try:
        message = json.loads(connection.recv_bytes())
    except EOFError:
        connection.close()
        worker.process.join()
        if not worker.done:
            raise UserError(
                f"the worker of shard {file} must end by itself. It died with exit "
                f"code {worker.process.exitcode}; the same command continues, and "
                "fewer --workers need less memory"
            ) from None
        return False
    if "failed" in message:
        raise UserError(f"shard {file} cannot be made: {message['failed']}")
    if "done" in message:
        worker.done = True
    else:
        progress(message["rejected"])
    return True


def _work(job: Job, connection: Connection) -> None:
    """Run in the child process."""

    def send(**message: object) -> None:
        connection.send_bytes(json.dumps(message).encode())

    try:
        run_job(job, lambda rejected: send(rejected=rejected))
        send(done=True)
    except BrokenPipeError:
        # The supervisor is gone, and with it the one who asked.
        return
    except (RuntimeError, OSError) as error:
        send(failed=" ".join(str(error).split()))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start children deaf to Ctrl-C: the supervisor stops them itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
