"""What one run has to do: a new dataset, the rest of one, or an addition to one.

task = make_task(options, configs)
task.jobs  # shards to make; those done before among them
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_prep import output, plan
from data_prep.growth import Base
from data_prep.jobs.job import Job
from data_prep.plan import Configs, DatasetOptions
from stfn_keras import storage
from stfn_keras.data.inputs import Inputs, Video
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError
from stfn_keras.video.limits import DecodingConfig


@dataclass(frozen=True)
class Task:
    """What one run has to do.

    Attributes:
        options: As given.
        configs: As given.
        inputs: Everything that the protocol finds.
        settings: By which the dataset is recognised when the run is repeated.
        base: What the dataset holds already and keeps.
        news: The videos to prepare, in the order that shards hold them.
        labels: Of the whole dataset.
        addition: Which addition this is, from 1; 0 if it is none.
        jobs: One per shard of the news.
    """

    options: DatasetOptions
    configs: Configs
    inputs: Inputs
    settings: dict[str, Any]
    base: Base
    news: list[Video]
    labels: tuple[str, ...]
    addition: int
    jobs: list[Job]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do.

        Raises:
            UserError: The folder holds a dataset with other settings.
        """
        if self.addition:
            return self.is_idle
        begun = output.read_settings(self.options.out)
        if begun is None:
            return False
        output.check_settings(begun, self.settings)
        return output.is_finished(self.options.out)

    @property
    def is_idle(self) -> bool:
        """Whether an addition finds everything as it is."""
        begun = output.read_settings(self.options.out) or {}
        named = {row.path for row in self.base.ledger}
        return (
            not self.news
            and begun.get("inputs") == self.settings["inputs"]
            and named >= set(self.inputs.unlisted)
        )

    @property
    def record(self) -> dict[str, Any]:
        """By which an unfinished addition is taken up again."""
        return {
            "number": self.addition,
            "videos": [video.id for video in self.news],
            "settings": self.settings,
        }


def make_task(options: DatasetOptions, configs: Configs) -> Task:
    """Find the inputs, compare them with what is there, and cut them into jobs.

    Raises:
        UserError: Bad input or settings, or an output folder that is not ours.
    """
    begun = output.read_settings(options.out)
    base = _base(options, begun) if options.add else Base()
    unfinished = output.read_addition(options.out) if options.add else None
    # A folder that grew keeps the sides that its groups had when each came in.
    known = (unfinished["settings"] if unfinished else begun or {}).get("sides", {})
    keeps = options.add or (begun or {}).get("additions")
    inputs = discover(
        options.protocol,
        Path(options.source) if options.source else None,
        Path(options.split_lists) if options.split_lists else None,
        Path(options.csv) if options.csv else None,
        options.seed,
        bool(options.frames),
        known if keeps else {},
    )
    plan.check_labels(inputs.labels)
    if options.frames and any(video.segment for video in inputs.videos):
        raise UserError(
            "segments need videos: --frames cannot go with a CSV that has start and "
            "end. Leave these columns out"
        )
    _check_apart(options.out, inputs.folder)
    settings = plan.make_settings(options, configs, inputs)
    addition, news = 0, plan.taken(inputs.videos, options.limit)
    if options.add:
        settings = _grown(settings, begun or {})
        if unfinished:
            output.check_unfinished(unfinished, settings)
            wanted = set(unfinished["videos"])
            news = [video for video in plan.taken(inputs.videos) if video.id in wanted]
            addition, settings = unfinished["number"], unfinished["settings"]
        else:
            news = base.news(inputs, options.limit)
            addition = settings["additions"]
    labels = base.all_labels(inputs.labels)
    jobs = plan.make_jobs(options, configs, inputs.folder, news, labels, addition)
    base = base.without({job["file"] for job in jobs}, {video.id for video in news})
    return Task(options, configs, inputs, settings, base, news, labels, addition, jobs)


def _check_apart(out: str, folder: Path) -> None:
    inside = Path(out).resolve().is_relative_to(folder.resolve())
    if inside and not storage.is_remote(out):
        raise UserError(
            f"--out must lie outside the video folder, which is only read. "
            f"Received: {out}"
        )


def _base(options: DatasetOptions, begun: dict[str, Any] | None) -> Base:
    if storage.is_remote(options.out):
        raise UserError(
            f"--add needs a dataset in a local folder. Received: {options.out}; add "
            "there, then copy the folder"
        )
    if begun is None:
        raise UserError(
            f"--add needs a finished dataset in --out. Received: {options.out}, which "
            "holds none; leave --add out to make one"
        )
    return Base.load(Path(options.out))


def _grown(settings: dict[str, Any], begun: dict[str, Any]) -> dict[str, Any]:
    """The settings of a dataset after an addition to it."""
    free = {"inputs"} | {item.name for item in fields(DecodingConfig)}
    output.check_settings(begun, settings, but=free)
    grown = {**settings, "additions": begun.get("additions", 0) + 1}
    if "sides" in settings:
        grown["sides"] = {**begun.get("sides", {}), **settings["sides"]}
    return grown
