"""The plan: which shards to make, by which settings, in which folder.

    settings = make_settings(options, config, inputs)
    finished = open_output(out, settings)
    jobs = make_jobs(options, config, inputs)

A folder is continued only by the settings it was begun with.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2

from data_prep.job import WORK, Job
from stfn_keras.config import (
    FLOW_BOUND,
    PreparationConfig,
    check_at_least,
    check_choices,
    option,
)
from stfn_keras.data.inputs import Inputs, Video, seeded_order
from stfn_keras.data.manifest import MANIFEST, SCHEMA
from stfn_keras.data.protocols import PROTOCOLS
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json
from stfn_keras.video.flow import get_preset

SETTINGS = "settings.json"
ORDER_SEED = 0  # of the order of videos in shards


@dataclass(frozen=True)
class DatasetOptions:
    """What to prepare, and where to put it."""

    videos: str = option("", "folder that holds the videos; only read")
    protocol: str = option("folder", "where classes and splits come from", PROTOCOLS)
    split_lists: str = option("", "folder of the official lists (ucf101, hmdb51)")
    csv: str = option("", "CSV file with the columns path, label, split[, group]")
    out: str = option("", "dataset directory to make or to continue")
    name: str = option("", "the dataset's name; default: that of --out")
    workers: int = option(0, "processes; 0: as many as there are cores")
    shard_videos: int = option(32, "videos per shard at most")
    limit: int = option(0, "only the first so many videos of the seeded order; 0: all")
    seed: int = option(0, "of the split that the folder protocol draws")

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 0, "workers", "limit", "seed")
        check_at_least(self, 1, "shard_videos")
        if "/" in self.name:
            raise UserError(f"--name must hold no slash. Received: {self.name!r}")

    @property
    def dataset_name(self) -> str:
        """The name that shards' files start with."""
        return self.name or Path(self.out).resolve().name


def limited(inputs: Inputs, limit: int) -> tuple[Video, ...]:
    """The videos to prepare, in the order that shards hold them.

    The order is seeded, so that each shard holds many classes, and a limited
    dataset is a sample of the whole one.
    """
    videos = {video.id: video for video in inputs.videos}
    order = seeded_order(videos, ORDER_SEED)
    return tuple(videos[name] for name in order[: limit or None])


def make_jobs(
    options: DatasetOptions, config: PreparationConfig, inputs: Inputs
) -> list[Job]:
    """Cut the videos of each combination of roles into shards of even size.

    Returns:
        One JSON-able description per shard: `out`, `folder`, `file`, `roles`,
        `config`, and `videos` with `id`, `label` (an index), `label_text`, `group`.
    """
    by_roles: dict[str, list[Video]] = {}
    for video in limited(inputs, options.limit):
        by_roles.setdefault(video.roles, []).append(video)
    jobs = []
    for roles, videos in sorted(by_roles.items()):
        shards = -(-len(videos) // options.shard_videos)
        for index in range(shards):
            start, end = (len(videos) * i // shards for i in (index, index + 1))
            number = f"{index:05d}-of-{shards:05d}"
            file = f"{options.dataset_name}-{roles}-{number}.tfrecord"
            jobs.append(
                {
                    "out": options.out,
                    "folder": str(inputs.folder),
                    "file": file,
                    "roles": roles,
                    "config": asdict(config),
                    "videos": [_described(v, inputs) for v in videos[start:end]],
                }
            )
    return jobs


def flow_fields(config: PreparationConfig) -> dict[str, dict[str, Any]]:
    """The manifest's description of each flow field."""
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
    options: DatasetOptions, config: PreparationConfig, inputs: Inputs
) -> dict[str, Any]:
    """Everything that the dataset's bytes depend on but the videos' own bytes."""
    listed = [asdict(video) for video in limited(inputs, options.limit)]
    digest = hashlib.sha256(json.dumps([listed, inputs.unlisted]).encode())
    settings = {
        "schema": SCHEMA,
        "name": options.dataset_name,
        "protocol": options.protocol,
        "shard_videos": options.shard_videos,
        "labels": inputs.labels,
        "inputs": f"{len(listed)} videos, digest {digest.hexdigest()[:16]}",
        **asdict(config),
        "flow_fields": flow_fields(config),
        "av": av.__version__,
    }
    return json.loads(json.dumps(settings))


def open_output(out: Path, settings: dict[str, Any]) -> bool:
    """Make the dataset directory, or recognise it as one to continue.

    Returns:
        Whether the dataset is finished already.

    Raises:
        UserError: The folder is not ours, or holds a dataset with other settings.
    """
    path = out / WORK / SETTINGS
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {out}")
    if not path.is_file():
        # A run stopped before its settings were whole leaves an empty .work only.
        if out.is_dir() and any(item.name != WORK for item in out.iterdir()):
            raise UserError(
                f"--out must be a new folder or a dataset begun here. Received: {out}, "
                "which holds other files; choose another"
            )
        write_json(path, settings)
        return False
    begun = read_json(path, "the settings of a dataset begun here")
    for key in settings:
        if begun.get(key) != settings[key]:
            raise UserError(
                f"--out holds a dataset with other settings: {key} was "
                f"{begun.get(key)} and is {settings[key]} now; choose another folder, "
                "or the settings of before"
            )
    return (out / MANIFEST).is_file()


def _described(video: Video, inputs: Inputs) -> dict[str, Any]:
    return {
        "id": video.id,
        "label": inputs.labels.index(video.label),
        "label_text": video.label,
        "group": video.group,
    }
