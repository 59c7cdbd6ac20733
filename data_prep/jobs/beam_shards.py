"""Shard jobs as an Apache Beam transform; needs `pip install '.[beam]'`.

    made = pipeline | beam.Create([json.dumps(job) for job in jobs]) | PrepareShards()
    made.shards  # names of the shards that are there
    made.bad     # a line of JSON for each video that is in none

Elements are shard jobs, never frames or records: videos and shards are read and
written where a job runs, and what passes through Beam stays small. Decoding runs in a
child process, so a decoder that aborts costs one video and not a Beam worker.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from data_prep.jobs.beam_local import jobs_of
from data_prep.jobs.isolated import Prepare, ProcessLimits, StoppedError
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import Entry, Job, Outcome, made, read_entry, run_job
from stfn_keras import storage

NAMESPACE = "data_prep"  # of the counters
COUNTERS = ("videos", "pairs", "bad", "shards")
SHARDS, BAD = "shards", "bad"  # tags of the outputs

_LOG = logging.getLogger(__name__)


class ShardError(RuntimeError):
    """A shard cannot be made, for a reason that is not one of its videos'."""


def read_jobs(place: str) -> list[str]:
    """The jobs, as JSON each, that a list in the output folder names."""
    return [json.dumps(job) for job in json.loads(storage.read_text(place))]


class PrepareShards(beam.PTransform):
    """Jobs as JSON in, two tagged outputs out.

    `shards` holds file names; `bad` lines of JSON with `path`, `reason`, `declared` and
    `decoded`, as the ledger has them. JSON, because it is ASCII whatever bytes a file's
    name has. Counters in the namespace `data_prep`: `videos` in shards, `pairs` of
    flow computed, `bad` videos, `shards`, and `bad: <reason>`.

    Args:
        launcher: Key by which jobs in the launcher's process find it; see `beam_local`.
        prepare: What the decoding process does with a video; an importable function.
    """

    def __init__(self, launcher: str = "", prepare: Prepare = prepare_item) -> None:
        super().__init__()
        self._launcher = launcher
        self._prepare = prepare

    def expand(self, input_or_inputs: Any) -> Any:
        """Spread the jobs over the workers and run them."""
        made = (
            input_or_inputs
            # Otherwise a runner may fuse creation and work into one bundle.
            | "spread" >> beam.Reshuffle()
            | "run"
            >> beam.ParDo(RunShard(self._launcher, self._prepare)).with_outputs(
                BAD, main=SHARDS
            )
        )
        _ = made[BAD] | "name bad videos" >> beam.ParDo(NameBad())
        return made


class RunShard(beam.DoFn):
    """Run a shard job; a retried one finds what it finished and does nothing.

    Args:
        launcher: As of `PrepareShards`.
        prepare: As of `PrepareShards`.
    """

    def __init__(self, launcher: str = "", prepare: Prepare = prepare_item) -> None:
        super().__init__()
        self._launcher = launcher
        self._prepare = prepare

    def process(self, element: str, *_: Any, **__: Any) -> Iterator[Any]:
        """Make one shard.

        Raises:
            ShardError: It cannot be made; names the shard and the video at hand.
        """
        job: Job = json.loads(element)
        entry = made(job)
        if entry is not None:
            _count("videos", len(entry["videos"]))
            _count("bad", len(entry["rejected"]))
        else:
            entry = self._make(job)
        if entry is None:  # stopped together with the launcher
            return
        _count("shards")
        for row in entry["rejected"]:
            line = {
                "path": row["path"],
                "reason": row["reason"],
                "declared": row["frames_declared"],
                "decoded": row["frames_decoded"],
            }
            yield beam.pvalue.TaggedOutput(BAD, json.dumps(line))
        yield job["file"]

    def _make(self, job: Job) -> Entry | None:
        shared = jobs_of(self._launcher)
        done = 0

        def report(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            _count("bad" if outcome.reason else "videos")
            _count("pairs", outcome.pairs)
            shared.progress(outcome)

        try:
            with shared.decoder(
                ProcessLimits(**job["limits"]), self._prepare
            ) as decoder:
                return run_job(job, report, decoder)
        except StoppedError:
            return None
        except Exception as error:
            # Runners may try one job twice at a time; the other try may have won.
            if (entry := read_entry(job["out"], job["file"])) is not None:
                return entry
            videos = job["videos"]
            at = f", video {videos[done]['id']!r}," if done < len(videos) else ""
            cause = " ".join(str(error).split()) or repr(error)
            message = f"shard {job['file']}{at} cannot be made: {cause}"
            shared.fail(message)
            raise ShardError(message) from error


class NameBad(beam.DoFn):
    """Log each bad video and count it by its reason, where cluster users look."""

    def process(self, element: str, *_: Any, **__: Any) -> Iterable[Any]:
        """Log and count one line of the output `bad`."""
        _count(f"bad: {json.loads(element)['reason']}")
        _LOG.info("bad video: %s", element)
        return ()


def _count(name: str, by: int = 1) -> None:
    Metrics.counter(NAMESPACE, name).inc(by)
