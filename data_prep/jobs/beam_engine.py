"""The preparation's shard jobs on Apache Beam: a machine's cores, or a cluster.

    counters = run_jobs(jobs, 2, ["--runner=FlinkRunner"], progress=print)

Without options, Beam's local runner works in this process: a thread and a decoding
process per worker. Nothing is downloaded, and no worker process can die and leave the
runner waiting.
"""

import contextlib
import difflib
import io
import json
import logging
import re
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from data_prep.jobs.beam_local import PATIENCE, Jobs
from data_prep.jobs.isolated import Prepare
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import WORK, Job, Outcome, read_entry
from stfn_keras import storage
from stfn_keras.errors import UserError

HINT = "--engine=beam needs Apache Beam: pip install '.[beam]'"
LISTED = 256  # jobs in one list
LOOK = 10.0  # seconds between two looks at the output for shards made elsewhere

# Beam's own DirectRunner would first download and start another runner.
_LOCAL = {"", "directrunner", "direct", "fnapirunner", "fnapi"}
# Their job servers know further options than Beam's Python package.
_PORTABLE = ("portable", "flink", "spark", "prism", "kafka")

Progress = Callable[[Outcome], None]


@dataclass(frozen=True)
class BeamSettings:
    """Beam's options, and what follows from them.

    Attributes:
        options: Beam's `PipelineOptions`.
        local: Whether Beam's local runner does the work.
        shared: Whether it does so in this process.
    """

    options: Any
    local: bool
    shared: bool


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    options: Sequence[str],
    progress: Progress,
    prepare: Prepare = prepare_item,
) -> dict[str, int]:
    """Run shard jobs through Beam until all are done.

    Args:
        jobs: Descriptions of shards that are still to be made.
        workers: Of the local runner, 1 or more, unless the options say otherwise.
        options: Beam's own, as on a command line.
        progress: Called for each video, from one thread at a time: as it is done, or
            where another process does it, when its shard is seen, without its pairs.
        prepare: What decoding processes do with a video; an importable function.

    Returns:
        Beam's counters: `videos`, `pairs`, `bad`, `shards`, and `bad: <reason>`; those
        that the runner tells.

    Raises:
        UserError: Beam is missing, refuses an option or fails, or a shard cannot be
            made. Finished shards stay.
    """
    settings = parse_options(options, workers)
    if not jobs:
        return {}
    with Jobs(progress if settings.shared else None) as shared:
        pipeline = _pipeline(jobs, settings, shared.key, prepare)
        watching = (
            contextlib.nullcontext()
            if settings.shared
            else _watched(jobs, progress, 1.0 if settings.local else LOOK)
        )
        quiet = _held_back() if settings.local else contextlib.nullcontext()
        with watching, quiet:
            try:
                return _counters(_finished(pipeline, settings, shared))
            except Exception as error:
                reason = shared.failure or _reason(str(error))
                raise UserError(f"{reason}; the same command continues") from error


def parse_options(arguments: Sequence[str], workers: int) -> BeamSettings:
    """Parse Beam's options, which follow `--` on the command line.

    Raises:
        UserError: Beam is missing, or an option or its value is none of Beam's.
    """
    _import_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    # The one way to Beam's parser that is not private to it.
    parsers: list[ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.error = _refuse  # type: ignore[method-assign]
    known, unknown = parser.parse_known_args(list(arguments))
    runner = (known.runner or "").lower()
    if unknown and not any(word in runner for word in _PORTABLE):
        name = unknown[0].partition("=")[0]
        close = difflib.get_close_matches(name, parser._option_string_actions)
        _refuse(f"received {unknown[0]!r}" + (f", is it {close[0]}?" if close else ""))
    local = runner in _LOCAL
    if not local:
        _check_runner(known.runner)
    # The objects that Beam would pickle with the main module are flags and locks.
    defaults = ["--no_save_main_session"]
    if local:
        defaults += [
            "--direct_running_mode=multi_threading",
            f"--direct_num_workers={workers}",
        ]
    options = PipelineOptions([*defaults, *arguments])
    mode = options.get_all_options()["direct_running_mode"]
    return BeamSettings(options, local, local and mode != "multi_processing")


def _check_runner(name: str) -> None:
    from apache_beam.runners.runner import create_runner

    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        _refuse(f"--runner={name} cannot be used ({' '.join(str(error).split())})")


def describe(counters: dict[str, int]) -> str:
    """One line for people: `beam: 370 videos, 46250 pairs, 0 bad, 13 shards`."""
    order = ("videos", "pairs", "bad", "shards")
    told = [f"{counters[name]} {name}" for name in order if name in counters]
    reasons = sorted(name for name in counters if name not in order)
    told += [f"{counters[name]} {name.removeprefix('bad: ')}" for name in reasons]
    return "beam: " + (", ".join(told) or "this runner tells no counters")


def _import_beam() -> Any:
    # It warns of optional packages of its own on import.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(HINT) from error
    finally:
        logging.disable(before)
    return apache_beam


def _refuse(message: str) -> NoReturn:
    raise UserError(f"expected Beam's own options after --: {message}")


def _pipeline(
    jobs: Sequence[Job], settings: BeamSettings, launcher: str, prepare: Prepare
) -> Any:
    beam = _import_beam()
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from data_prep.jobs.beam_shards import PrepareShards, read_jobs

    pipeline = beam.Pipeline(
        runner=FnApiRunner() if settings.local else None, options=settings.options
    )
    if settings.local:
        elements = [json.dumps(job) for job in jobs]
        described = pipeline | "jobs" >> beam.Create(elements)
    else:
        places = pipeline | "lists of jobs" >> beam.Create(_written(jobs))
        described = places | "jobs" >> beam.FlatMap(read_jobs)
    _ = described | PrepareShards(launcher, prepare)
    return pipeline


def _written(jobs: Sequence[Job]) -> list[str]:
    """Write jobs beside the shards: clusters bound the size of a pipeline itself."""
    places = []
    for start in range(0, len(jobs), LISTED):
        place = storage.join(jobs[0]["out"], f"{WORK}/jobs-{start:06d}.json")
        storage.write_text(place, json.dumps(jobs[start : start + LISTED]))
        places.append(place)
    return places


def _finished(pipeline: Any, settings: BeamSettings, shared: Jobs) -> Any:
    """Run to the end, or to Ctrl-C.

    Raises:
        RuntimeError: The work failed; runners raise others as well.
    """
    if settings.shared:
        result = _finished_aside(pipeline, shared)
    else:
        result = pipeline.run()
        try:
            result.wait_until_finish()
        except KeyboardInterrupt:
            with contextlib.suppress(Exception):
                result.cancel()
            raise
    if result.state not in (None, "DONE"):
        raise RuntimeError(f"Beam's job ended as {result.state}")
    return result


def _finished_aside(pipeline: Any, shared: Jobs) -> Any:
    """Run on a thread of its own: Ctrl-C stops the jobs, and Beam ends as always."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(pipeline.run())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    finally:
        shared.stop()
        thread.join(PATIENCE)
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _counters(result: Any) -> dict[str, int]:
    from apache_beam.metrics import MetricsFilter

    from data_prep.jobs.beam_shards import COUNTERS, NAMESPACE

    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    except Exception:  # each runner refuses in its own way
        return {}
    counters = dict.fromkeys(COUNTERS, 0)
    for item in found["counters"]:
        value = item.committed if item.committed is not None else item.attempted
        name = item.key.metric.name
        counters[name] = counters.get(name, 0) + (value or 0)
    return counters


def _reason(text: str) -> str:
    """The one line that matters of a runner's report, often pages of traces."""
    if found := re.search(r"shard .+? cannot be made: .+?(?= \[while|\\n|\n|$)", text):
        return found[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"Beam's job failed: {lines[-1] if lines else 'it does not say why'}"


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keep the local runner's traces to itself: its failures end in one line."""
    log = logging.getLogger("apache_beam")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    with contextlib.redirect_stderr(io.StringIO()):
        yield
    # Not after a failure: Beam's threads go on for a moment and log what they meet.
    log.setLevel(level)


@contextlib.contextmanager
def _watched(jobs: Sequence[Job], progress: Progress, seconds: float) -> Iterator[None]:
    """Report shards that other processes make, as their entries appear."""
    ended = threading.Event()
    missing = {job["file"]: job["out"] for job in jobs}

    def look() -> None:
        entries = storage.names(storage.join(jobs[0]["out"], WORK))
        for file in [name.removesuffix(".json") for name in entries]:
            if file not in missing:
                continue
            if entry := read_entry(missing[file], file, full=False):
                del missing[file]
                for row in entry["videos"]:
                    progress(Outcome(row["path"]))
                for row in entry["rejected"]:
                    progress(Outcome(row["path"], row["reason"]))

    def try_to_look() -> None:
        # A look that fails is made again; the last one only moves the bar.
        with contextlib.suppress(OSError, UserError):
            look()

    def watch() -> None:
        while not ended.wait(seconds):
            try_to_look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    try_to_look()
