"""The preparation of a whole dataset, from videos to a finished directory.

    options = DatasetOptions(videos="clips", out="data/clips")
    summary = prepare_dataset(options, Configs())

Stopped at any moment and started again, it continues at the first shard undone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import estimate, output, plan, run
from data_prep.growth import UNLISTED, Base
from data_prep.jobs.isolated import Prepare
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import Entry, read_entry
from data_prep.plan import Configs, DatasetOptions
from data_prep.task import Task, make_task
from stfn_keras import storage
from stfn_keras.config import PreparationConfig
from stfn_keras.data.index import Indexed
from stfn_keras.data.ledger import LEDGER, Rejected
from stfn_keras.data.manifest import SCHEMA, Manifest, Shard
from stfn_keras.errors import UserError
from stfn_keras.video.flow import get_preset
from stfn_keras.video.image import check_pairs


@dataclass(frozen=True)
class Summary:
    """What a dataset holds after a run.

    Attributes:
        videos: In shards.
        shards: Files.
        bad: In the ledger for what they are.
        unlisted: In the ledger because the protocol does not name them.
        kept: Of the videos, damaged ones that were kept.
        absent: Listed, but not there.
        seconds: Of this run; 0.0 if there was nothing to do.
        bytes: Of all shards.
    """

    videos: int
    shards: int
    bad: int
    unlisted: int
    kept: int
    absent: int
    seconds: float
    bytes: int

    def text(self) -> str:
        """One line for people."""
        line = (
            f"{self.videos} videos in {self.shards} shards "
            f"({estimate.size(self.bytes)}), {self.bad} unusable and {self.unlisted} "
            f"unlisted in the ledger, {self.absent} listed but absent"
        )
        return f"{line}, {self.kept} damaged but kept" if self.kept else line


def prepare_dataset(
    options: DatasetOptions,
    configs: Configs,
    *,
    prepare: Prepare = prepare_item,
    beam_options: Sequence[str] = (),
) -> Summary:
    """Make a dataset directory, continue it, add to it, or find it finished.

    Args:
        options: What, and where to.
        configs: How.
        prepare: What a decoding process does with a video; an importable function.
        beam_options: Apache Beam's own, for the `beam` engine.

    Raises:
        UserError: Bad input or settings, an output folder that is not ours, a shard
            that cannot be made, or no video that could be prepared.
    """
    started = time.monotonic()
    if not options.out:
        raise UserError("--out must name the dataset directory. Received: nothing")
    _check_flow(options, configs)
    run.check_engine(options, beam_options)
    task = make_task(options, configs)
    if options.dry_run:
        run.say(task)
        return _summary(task.base, task.inputs.absent, 0.0)
    with output.locked(options.out):
        if options.add:
            task = make_task(options, configs)  # nobody else adds from here on
            if task.is_idle:
                return _finished(options.out)
            output.write_addition(options.out, task.record)
            print(f"{len(task.news)} of {len(task.inputs.videos)} videos are new")
        elif output.open_output(options.out, task.settings):
            return _finished(options.out)
        run.run_task(task, prepare, beam_options)
        contents = _finish(task)
    return _summary(contents, task.inputs.absent, time.monotonic() - started)


def _check_flow(options: DatasetOptions, configs: Configs) -> None:
    check_pairs(configs.preparation.size, configs.preparation.pairs)
    if options.frames and configs.preparation.flow != PreparationConfig().flow:
        raise UserError(
            "--frames brings its own flow, named external. Received --flow="
            f"{','.join(configs.preparation.flow)}: leave it out"
        )
    if not options.frames:
        for name in configs.preparation.flow:
            get_preset(name)


def _finished(out: str) -> Summary:
    """What a dataset holds that needs nothing done; a cheap look at its shards."""
    with output.read_back(out) as folder:
        manifest = Manifest.load(folder)
        contents = Base.load(folder)
    if not storage.is_remote(out):
        manifest.verify(Path(out), full=False)
        output.tidy_finished(out)
    return _summary(contents, manifest.absent, 0.0)


def _finish(task: Task) -> Base:
    """Write tables and, last of all, the manifest.

    Returns:
        What the dataset holds now.
    """
    options, config = task.options, task.configs.preparation
    entries = [_entry(options.out, job["file"]) for job in task.jobs]
    index = [Indexed(**row) for entry in entries for row in entry["videos"]]
    rejected = [Rejected(**row) for entry in entries for row in entry["rejected"]]
    if len(index) + len(rejected) != len(task.news):
        raise RuntimeError(
            f"{len(index)} videos in shards and {len(rejected)} in the ledger must be "
            f"{len(task.news)} together"
        )
    named = {row.path for row in task.base.ledger}
    rejected += [
        Rejected(name, UNLISTED) for name in task.inputs.unlisted if name not in named
    ]
    shards = [Shard(**entry["shard"]) for entry in entries if entry["shard"]]
    contents = Base(
        task.labels,
        (*task.base.shards, *shards),
        (*task.base.index, *index),
        (*task.base.ledger, *rejected),
    )
    if not contents.shards:
        output.write_ledger_alone(options.out, contents.ledger)
        raise UserError(
            f"none of the {len(task.news)} videos could be prepared: "
            f"{storage.join(options.out, LEDGER)} says why"
        )
    manifest = Manifest(
        schema=SCHEMA,
        name=options.dataset_name,
        protocol=options.protocol,
        labels=task.labels,
        videos=len(contents.index),
        absent=task.inputs.absent,
        shards=contents.shards,
        flow=plan.flow_fields(config, options),
        layout=config.layout,
        snippets=config.snippets,
        rgb_per_snippet=config.rgb_per_snippet,
        size=config.size,
        flip=config.flip,
        inputs=len(contents.index) + len(contents.ledger),
    )
    tables = (contents.index, contents.ledger)
    output.finish(options.out, manifest, *tables, task.settings)
    return contents


def _entry(out: str, file: str) -> Entry:
    entry = read_entry(out, file, full=False)
    if entry is None:
        raise UserError(
            f"{storage.join(out, file)} was altered while the dataset was made: the "
            "same command makes it again"
        )
    return entry


def _summary(contents: Base, absent: int, seconds: float) -> Summary:
    unlisted = sum(row.reason == UNLISTED for row in contents.ledger)
    return Summary(
        videos=len(contents.index),
        shards=len(contents.shards),
        bad=len(contents.ledger) - unlisted,
        unlisted=unlisted,
        kept=sum(row.errors > 0 for row in contents.index),
        absent=absent,
        seconds=seconds,
        bytes=sum(shard.bytes for shard in contents.shards),
    )
