"""The preparation of a whole dataset, from videos to a finished directory.

    options = DatasetOptions(videos="clips", out="data/clips")
    summary = prepare_dataset(options, PreparationConfig())

Stopped at any moment and started again, it continues at the first shard undone.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data_prep import plan
from data_prep.job import WORK, Entry, Job, read_entry
from data_prep.plan import DatasetOptions
from data_prep.supervisor import run_jobs
from stfn_keras.config import PreparationConfig
from stfn_keras.data.inputs import Inputs
from stfn_keras.data.ledger import LEDGER, Rejected, read_ledger, write_ledger
from stfn_keras.data.manifest import SCHEMA, Manifest, Shard
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError
from stfn_keras.files import write_text
from stfn_keras.video.flow import get_preset

LABELS = "labels.txt"


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        videos: In shards.
        shards: Files.
        rejected: In the ledger.
        absent: Listed, but not there.
        seconds: Of this run; 0.0 if the dataset was finished before.
        bytes: Of all shards.
    """

    videos: int
    shards: int
    rejected: int
    absent: int
    seconds: float
    bytes: int


def prepare_dataset(options: DatasetOptions, config: PreparationConfig) -> Summary:
    """Make a dataset directory, or continue one, or find it finished.

    Raises:
        UserError: Bad input or settings, an output folder that is not ours, a
            worker that died, or no video that could be prepared.
    """
    started = time.monotonic()
    if not options.out:
        raise UserError("--out must name the dataset directory. Received: nothing")
    for name in config.flow:
        get_preset(name)
    inputs = discover(
        options.protocol,
        _path(options.videos),
        _path(options.split_lists),
        _path(options.csv),
        options.seed,
    )
    out = Path(options.out)
    if out.resolve().is_relative_to(inputs.folder.resolve()):
        raise UserError(
            f"--out must lie outside the video folder, which is only read. "
            f"Received: {out}"
        )
    settings = plan.make_settings(options, config, inputs)
    if plan.open_output(out, settings):
        manifest = Manifest.load(out)
        manifest.verify(out, full=False)
        return _summary(manifest, out, 0.0)
    jobs = plan.make_jobs(options, config, inputs)
    _run(jobs, out, options.workers or _cores())
    manifest = _finish(options, config, inputs, jobs)
    return _summary(manifest, out, time.monotonic() - started)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _cores() -> int:
    """Cores that this process may use: in a container, fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(jobs: list[Job], out: Path, workers: int) -> None:
    """Make the shards that are not there yet, under a progress bar."""
    todo = [job for job in jobs if read_entry(out, job["file"]) is None]
    videos, left = (sum(len(job["videos"]) for job in part) for part in (jobs, todo))
    rejected = 0
    with tqdm(total=videos, initial=videos - left, unit="video", desc=out.name) as bar:

        def progress(reason: str | None) -> None:
            nonlocal rejected
            if reason:
                rejected += 1
                bar.set_postfix(rejected=rejected, refresh=False)
            bar.update()

        run_jobs(todo, workers, progress)


def _finish(
    options: DatasetOptions, config: PreparationConfig, inputs: Inputs, jobs: list[Job]
) -> Manifest:
    """Write labels, ledger and, last of all, the manifest."""
    out = Path(options.out)
    entries = [_entry(out, job["file"]) for job in jobs]
    rejected = [Rejected(**row) for entry in entries for row in entry["rejected"]]
    shards = tuple(Shard(**entry["shard"]) for entry in entries if entry["shard"])
    prepared = sum(shard.videos for shard in shards)
    expected = sum(len(job["videos"]) for job in jobs)
    if prepared + len(rejected) != expected:
        raise RuntimeError(
            f"{prepared} videos in shards and {len(rejected)} in the ledger must be "
            f"{expected} together"
        )
    rejected += [Rejected(name, "unlisted") for name in inputs.unlisted]
    write_ledger(out, rejected)
    if not shards:
        raise UserError(
            f"none of the {expected} videos could be prepared: {out / LEDGER} says why"
        )
    write_text(out / LABELS, "".join(f"{label}\n" for label in inputs.labels))
    manifest = Manifest(
        schema=SCHEMA,
        name=options.dataset_name,
        protocol=options.protocol,
        labels=inputs.labels,
        videos=prepared,
        absent=inputs.absent,
        shards=shards,
        flow=plan.flow_fields(config),
        layout="snippet",
        snippets=config.snippets,
        rgb_per_snippet=config.rgb_per_snippet,
        size=config.size,
        flip=config.flip,
    )
    manifest.save(out)
    _forget_entries(out)
    return manifest


def _entry(out: Path, file: str) -> Entry:
    entry = read_entry(out, file)
    if entry is None:
        raise UserError(f"{out / file} was altered while the dataset was made")
    return entry


def _forget_entries(out: Path) -> None:
    """Leave only the settings, by which a later run knows the dataset."""
    for item in (out / WORK).iterdir():
        if item.name != plan.SETTINGS:
            item.unlink()


def _summary(manifest: Manifest, out: Path, seconds: float) -> Summary:
    return Summary(
        videos=manifest.videos,
        shards=len(manifest.shards),
        rejected=len(read_ledger(out)),
        absent=manifest.absent,
        seconds=seconds,
        bytes=sum(shard.bytes for shard in manifest.shards),
    )
