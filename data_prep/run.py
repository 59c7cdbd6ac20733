"""A task's shard jobs, on the chosen engine, under a progress bar.

check_engine(options, beam_options)  # before anything is written
run_task(task, prepare_item, beam_options)
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

from tqdm import tqdm

from data_prep import estimate
from data_prep.jobs import beam_engine, supervisor
from data_prep.jobs.isolated import Prepare
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import Job, Outcome, made
from data_prep.plan import DatasetOptions
from data_prep.task import Task
from stfn_keras.cores import cores
from stfn_keras.data.manifest import ROLES


def check_engine(options: DatasetOptions, beam_options: Sequence[str]) -> bool:
    """Refuse options that the engine does not know.

    Returns:
        Whether the work is done on this machine.

    Raises:
        UserError: Apache Beam is missing, or does not know an option.
    """
    if options.engine != "beam":
        return True
    return beam_engine.parse_options(beam_options, cores(options.workers)).local


def say(task: Task) -> None:
    """Print what would be done, and what it would take."""
    roles = Counter(video.roles for video in task.news)
    classes = Counter(video.label for video in task.news)
    todo = [job for job in task.jobs if not made(job)]
    finished = task.finished  # reads the settings of the folder
    if finished:
        print(f"finished already: {task.options.out}")
    elif len(todo) < len(task.jobs):
        print(f"{len(task.jobs) - len(todo)} of {len(task.jobs)} shards are there")
    print(
        f"{len(task.news)} videos of {len(classes)} classes to prepare in "
        f"{len(task.jobs)} shards; {len(task.inputs.unlisted)} files not listed, "
        f"{task.inputs.absent} listed videos absent"
    )
    for split in range(len(next(iter(roles), ""))):
        counts: Counter[str] = Counter()
        for letters, count in roles.items():
            counts[ROLES[letters[split]]] += count
        parts = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
        print(f"split {split + 1}: {parts}")
    few = ", ".join(f"{name} {count}" for name, count in sorted(classes.items())[:10])
    print(f"videos by class: {few}{', ...' if len(classes) > 10 else ''}")
    if not finished:
        _print_estimate(task, todo)


def run_task(task: Task, prepare: Prepare, beam_options: Sequence[str]) -> None:
    """Make the shards that are not there yet.

    Args:
        task: What to do.
        prepare: What a decoding process does with a video; an importable function.
        beam_options: Apache Beam's own, for the `beam` engine.

    Raises:
        UserError: A shard cannot be made; what is finished stays.
    """
    options, workers = task.options, cores(task.options.workers)
    entries = [made(job) for job in task.jobs]
    todo = [job for job, entry in zip(task.jobs, entries, strict=True) if not entry]
    bad = sum(len(entry["rejected"]) for entry in entries if entry)
    videos, left = (
        sum(len(job["videos"]) for job in part) for part in (task.jobs, todo)
    )
    if check_engine(options, beam_options):
        if prepare is prepare_item:
            _print_estimate(task, todo)
        if len(todo) < workers and left > len(todo):
            print(
                f"note: {len(todo)} shards keep {len(todo)} of {workers} workers busy; "
                "a lower --shard_videos makes more of them",
                file=sys.stderr,
            )
    counters: dict[str, int] = {}
    with tqdm(
        total=videos, initial=videos - left, unit="video", desc=options.dataset_name
    ) as bar:
        progress = _Progress(bar, bad)
        if options.engine == "beam":
            counters = beam_engine.run_jobs(
                todo, workers, beam_options, progress, prepare
            )
        else:
            supervisor.run_jobs(todo, workers, progress, prepare)
    if counters:
        print(beam_engine.describe(counters))


def _print_estimate(task: Task, jobs: list[Job]) -> None:
    if found := estimate.measure(jobs):
        print(found.text(cores(task.options.workers), task.options.out), flush=True)


def run_locally(jobs: list[Job], workers: int, name: str, prepare: Prepare) -> None:
    """Run jobs with the local supervisor, under a bar of that name."""
    total = sum(len(job["videos"]) for job in jobs)
    with tqdm(total=total, unit="video", desc=name) as bar:
        supervisor.run_jobs(jobs, workers, _Progress(bar), prepare)


class _Progress:
    """Keeps the bar, and says at once what befalls a video unexpectedly."""

    def __init__(self, bar: tqdm, bad: int = 0) -> None:
        self._bar = bar
        self._stream = sys.stderr  # an engine may redirect it while it works
        self._started = time.monotonic()
        self._pairs = 0
        self._bad = bad

    def __call__(self, outcome: Outcome) -> None:
        self._pairs += outcome.pairs
        self._bad += outcome.reason is not None
        if outcome.detail:
            self._bar.write(
                f"{outcome.id}: {outcome.reason}: {outcome.detail}", file=self._stream
            )
        seconds = max(time.monotonic() - self._started, 1e-3)
        rate = f"{self._pairs / seconds:.0f}"
        self._bar.set_postfix({"pairs/s": rate, "bad": self._bad}, refresh=False)
        self._bar.update()
