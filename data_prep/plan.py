"""The plan: which shards to make, of which videos, by which settings.

settings = make_settings(options, configs, inputs)
jobs = make_jobs(options, configs, inputs.folder, videos, labels)
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2

from data_prep.jobs.isolated import ProcessLimits
from data_prep.jobs.job import Job
from stfn_keras.config import (
    FLOW_BOUND,
    PreparationConfig,
    check_at_least,
    check_choices,
    option,
)
from stfn_keras.data.inputs import Inputs, Video, seeded_order, source_size
from stfn_keras.data.manifest import SCHEMA
from stfn_keras.data.protocols import PROTOCOLS
from stfn_keras.errors import UserError
from stfn_keras.video.flow import EXTERNAL, get_preset
from stfn_keras.video.frames import external_field
from stfn_keras.video.limits import DecodingConfig

ENGINES = ("local", "beam")
ORDER_SEED = 0  # of the order of videos in shards
OFFICIAL = ("ucf101", "hmdb51")
# Shards enough to keep the workers of a machine busy to the end, and videos per shard.
MANY, SMALL, LARGE = 32, 4, 32
BAD_FRACTION = 0.1  # of one's own videos


@dataclass(frozen=True)
class DatasetOptions:
    """What to prepare, and where to put it."""

    videos: str = option("", "folder that holds the videos; only read")
    protocol: str = option("folder", "where classes and splits come from", PROTOCOLS)
    split_lists: str = option("", "folder of the official lists (ucf101, hmdb51)")
    csv: str = option(
        "", "CSV file with the columns path, label, split[, group][, start, end]"
    )
    frames: str = option(
        "", "folder of extracted frames (img_, flow_x_, flow_y_) to take instead"
    )
    frames_bound: float = option(
        20.0, "flow bound of the --frames: 20 in TSN's examples, denseflow's own is 32"
    )
    out: str = option("", "dataset directory to make or to continue; or an address")
    name: str = option("", "the dataset's name; default: that of --out")
    add: bool = option(False, "bring new videos into the finished dataset in --out")
    dry_run: bool = option(False, "say what would be done, and do nothing")
    engine: str = option("local", "what runs the shard jobs", ENGINES)
    workers: int = option(0, "processes; 0: as many as there are cores")
    shard_videos: int = option(
        0, "videos per shard at most; 0: 4 to 32, the more the more videos there are"
    )
    limit: int = option(0, "only the first so many videos of the seeded order; 0: all")
    seed: int = option(0, "of the split that the folder protocol draws")
    max_bad_fraction: float = option(
        -1.0,
        "share of videos that may end in the ledger before the exit status says so; "
        "-1: 0 for the official protocols, else 0.1",
    )

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 0, "workers", "limit", "seed", "shard_videos")
        check_at_least(self, 0.001, "frames_bound")
        if "/" in self.name:
            raise UserError(f"--name must hold no slash. Received: {self.name!r}")
        if self.split_lists and self.protocol not in OFFICIAL:
            raise UserError(
                f"--split_lists goes with --protocol={' or '.join(OFFICIAL)}. "
                f"Received: --protocol={self.protocol}"
            )
        if self.csv and self.protocol != "csv":
            raise UserError(
                f"--csv goes with --protocol=csv. Received: --protocol={self.protocol}"
            )
        if self.max_bad_fraction != -1.0 and not 0.0 <= self.max_bad_fraction <= 1.0:
            raise UserError(
                "--max_bad_fraction must be in 0..1, or -1. Received: "
                f"{self.max_bad_fraction}"
            )
        if self.frames and self.videos:
            raise UserError("--frames takes the place of --videos. Received both")

    @property
    def source(self) -> str:
        """The folder that the videos, or their extracted frames, are in."""
        return self.frames or self.videos

    @property
    def dataset_name(self) -> str:
        """The name that shards' files start with."""
        return self.name or Path(self.out).resolve().name

    @property
    def allowed_bad_fraction(self) -> float:
        """The share of videos that may be lost without an error."""
        if self.max_bad_fraction >= 0:
            return self.max_bad_fraction
        return 0.0 if self.protocol in OFFICIAL else BAD_FRACTION


@dataclass(frozen=True)
class Configs:
    """How videos are decoded and stored, and what they may use."""

    preparation: PreparationConfig = field(default_factory=PreparationConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    limits: ProcessLimits = field(default_factory=ProcessLimits)


def taken(videos: Iterable[Video], limit: int = 0) -> list[Video]:
    """The videos to prepare, in the order that shards hold them.

    The order is seeded, so that each shard holds many classes, and a limited
    dataset is a sample of the whole one.
    """
    by_id = {video.id: video for video in videos}
    return [by_id[name] for name in seeded_order(by_id, ORDER_SEED)[: limit or None]]


def make_jobs(
    options: DatasetOptions,
    configs: Configs,
    folder: Path,
    videos: Sequence[Video],
    labels: Sequence[str],
    addition: int = 0,
) -> list[Job]:
    """Cut the videos of each combination of roles into shards of even size.

    Args:
        options: Where to, and how many videos a shard holds.
        configs: How.
        folder: What the videos' paths are relative to.
        videos: In the order that shards hold them.
        labels: Of the whole dataset; a record's label is an index into them.
        addition: Which addition to a finished dataset this is, from 1; 0: none.

    Returns:
        One JSON-able description per shard: `out`, `folder`, `file`, `roles`,
        `config`, `decoding`, `limits`, `frames_bound` (0 for videos), and `videos` with
        `id`, `file`, `label` (an index), `label_text`, `group`, `segment`, `bytes`.
    """
    by_roles: dict[str, list[Video]] = {}
    for video in videos:
        by_roles.setdefault(video.roles, []).append(video)
    # Of the videos alone: with other workers the bytes must be the same.
    size = options.shard_videos or min(max(len(videos) // MANY, SMALL), LARGE)
    name = options.dataset_name + (f"-add{addition}" if addition else "")
    index = {label: number for number, label in enumerate(labels)}
    jobs = []
    for roles, members in sorted(by_roles.items()):
        shards = -(-len(members) // size)
        for number in range(shards):
            start, end = (len(members) * i // shards for i in (number, number + 1))
            jobs.append(
                {
                    "out": options.out,
                    "folder": os.path.abspath(folder),
                    "file": f"{name}-{roles}-{number:05d}-of-{shards:05d}.tfrecord",
                    "roles": roles,
                    "config": asdict(configs.preparation),
                    "decoding": asdict(configs.decoding),
                    "limits": asdict(configs.limits),
                    "frames_bound": options.frames_bound if options.frames else 0.0,
                    "videos": [
                        _described(v, folder, index) for v in members[start:end]
                    ],
                }
            )
    return jobs


def flow_fields(
    config: PreparationConfig, options: DatasetOptions
) -> dict[str, dict[str, Any]]:
    """The manifest's description of each flow field."""
    if options.frames:
        return {EXTERNAL: external_field(options.frames_bound, config.pairs)}
    return {
        name: {
            "preset": name,
            "version": get_preset(name).version,
            "parameters": dict(get_preset(name).parameters),
            "opencv": cv2.__version__,
            "bound": FLOW_BOUND,
            "pairs": config.pairs,
        }
        for name in config.flow
    }


def make_settings(
    options: DatasetOptions, configs: Configs, inputs: Inputs
) -> dict[str, Any]:
    """Everything that the dataset's bytes depend on but the videos' own bytes.

    Of those, their sizes: a video that was replaced is noticed by that.
    """
    listed = [
        [asdict(video), source_size(inputs.folder / video.file)]
        for video in taken(inputs.videos, options.limit)
    ]
    digest = hashlib.sha256(json.dumps([listed, inputs.unlisted]).encode())
    settings = {
        "schema": SCHEMA,
        "name": options.dataset_name,
        "protocol": options.protocol,
        "shard_videos": options.shard_videos,
        "inputs": f"{len(listed)} videos, digest {digest.hexdigest()[:16]}",
        **asdict(configs.preparation),
        **asdict(configs.decoding),
        "flow_fields": flow_fields(configs.preparation, options),
        "av": av.__version__,
    }
    if options.protocol == "folder":
        # Sides once drawn are kept when the folder grows.
        settings["sides"] = {video.group: video.roles for video in inputs.videos}
    return json.loads(json.dumps(settings))


def check_labels(labels: Iterable[str]) -> None:
    """Raise UserError for a class name that no text file can hold as one line."""
    for label in labels:
        try:
            label.encode()
            fits = "\n" not in label and "\r" not in label
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise UserError(
                "the name of a class must be UTF-8 without line breaks. Received: "
                f"{label!r}; rename it"
            )


def _described(video: Video, folder: Path, index: dict[str, int]) -> dict[str, Any]:
    return {
        "id": video.id,
        "file": video.file,
        "label": index[video.label],
        "label_text": video.label,
        "group": video.group,
        "segment": list(video.segment) if video.segment else None,
        "bytes": source_size(folder / video.file),
    }
