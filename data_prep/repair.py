"""Make faulty shards of a finished dataset again: `python -m data_prep repair DIR`.

    repaired = repair_dataset(Path("data/ucf101"), Path("UCF-101"))

The index says which videos a shard holds, and in which order; the same videos give the
same bytes. A shard that comes out otherwise replaces nothing.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data_prep import output
from data_prep import run as running
from data_prep.jobs.isolated import Prepare, ProcessLimits
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import WORK, Job, read_entry
from stfn_keras import flags, storage
from stfn_keras.config import check_at_least, option
from stfn_keras.cores import cores
from stfn_keras.data.index import Indexed, read_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest, Shard, shard_fault
from stfn_keras.errors import UserError
from stfn_keras.video.flow import EXTERNAL
from stfn_keras.video.limits import DecodingConfig

_SEGMENT = re.compile(r"(.+)#t=([\d.]+),([\d.]+)", re.DOTALL)


@dataclass(frozen=True)
class RepairConfig:
    """Where the videos are."""

    videos: str = option(
        "", "folder of the videos, or of the extracted frames, that the shards hold"
    )
    workers: int = option(0, "processes; 0: as many as there are cores")

    def __post_init__(self) -> None:
        check_at_least(self, 0, "workers")


def repair_dataset(
    out: Path,
    videos: Path,
    workers: int = 1,
    limits: ProcessLimits | None = None,
    prepare: Prepare = prepare_item,
) -> list[str]:
    """Find the shards that are not what the manifest says, and make them again.

    Args:
        out: A finished dataset directory.
        videos: The folder that the videos' paths are relative to.
        workers: Decoding processes at once.
        limits: Of each video.
        prepare: What a decoding process does with a video; an importable function.

    Returns:
        The names of the shards that were replaced.

    Raises:
        UserError: The dataset is not finished or has no index, or a shard comes out
            otherwise than it was; then none is replaced.
    """
    if not videos.is_dir():
        raise UserError(f"--videos must be the videos' folder. Received: {videos}")
    manifest = Manifest.load(out)
    with output.locked(str(out)):
        settings = output.read_settings(str(out)) or {}
        read_ledger(out)  # a table that is lost cannot be made from shards
        rows = read_index(out)
        faulty = [shard for shard in manifest.shards if shard_fault(shard, out)]
        if not faulty:
            return []
        staging = out / WORK / "repair"
        (staging / WORK).mkdir(parents=True, exist_ok=True)
        jobs = [
            _job(shard, rows, manifest, settings, staging, videos, limits)
            for shard in faulty
        ]
        absent = {job["file"]: lost for job in jobs if (lost := _absent(job))}
        faulty = [shard for shard in faulty if shard.file not in absent]
        # A repair that was stopped goes on; one with other videos starts again.
        ready = {shard.file for shard in faulty if _is_same(shard, staging)}
        todo = [job for job in jobs if job["file"] not in ready | absent.keys()]
        running.run_locally(todo, workers, f"{out.name}: repair", prepare)
        for shard in faulty:
            _check_same(shard, staging)
        for shard in faulty:
            storage.put(staging / shard.file, str(out / shard.file))
        shutil.rmtree(staging)
    if absent:
        file, lost = next(iter(absent.items()))
        raise UserError(
            f"--videos must hold the videos of {len(absent)} more faulty shards, such "
            f"as {lost} of {file}. Received: {videos}, without it; what --add brought "
            "from another folder is repaired from there. "
            f"{len(faulty)} shards made again"
        )
    return [shard.file for shard in faulty]


def _job(
    shard: Shard,
    rows: Sequence[Indexed],
    manifest: Manifest,
    settings: dict[str, Any],
    staging: Path,
    videos: Path,
    limits: ProcessLimits | None,
) -> Job:
    """The job that made the shard, less the videos that it rejected."""
    held = sorted(
        (row for row in rows if row.shard == shard.file), key=lambda row: row.record
    )
    if len(held) != shard.videos:
        raise UserError(
            f"videos.csv must name the {shard.videos} videos of {shard.file}. "
            f"Received: {len(held)}; prepare the dataset again into a new folder"
        )
    known = [item.name for item in fields(DecodingConfig) if item.name in settings]
    external = manifest.flow.get(EXTERNAL, {}).get("parameters", {})
    return {
        "out": str(staging),
        "folder": str(videos.absolute()),
        "file": shard.file,
        "roles": shard.roles,
        "config": asdict(manifest.preparation),
        "decoding": {name: settings[name] for name in known},
        "limits": asdict(limits or ProcessLimits()),
        "frames_bound": external.get("source_bound", 0.0),
        "videos": [_video(row, manifest.labels, videos) for row in held],
    }


def _absent(job: Job) -> str:
    """The first video of a job that is not in the folder; empty if all are."""
    for video in job["videos"]:
        if not os.path.exists(os.path.join(job["folder"], video["file"])):
            return str(video["id"])
    return ""


def _video(row: Indexed, labels: Sequence[str], videos: Path) -> dict[str, Any]:
    file, segment = row.path, None
    match = _SEGMENT.fullmatch(row.path)
    if match and not (videos / row.path).exists():
        file, segment = match[1], [float(match[2]), float(match[3])]
    return {
        "id": row.path,
        "file": file,
        "label": labels.index(row.label),
        "label_text": row.label,
        "group": row.group,
        "segment": segment,
        "bytes": row.bytes,
    }


def _is_same(shard: Shard, staging: Path) -> bool:
    entry = read_entry(str(staging), shard.file)
    return entry is not None and entry["shard"] == asdict(shard)


def _check_same(shard: Shard, staging: Path) -> None:
    if not _is_same(shard, staging):
        entry = read_entry(str(staging), shard.file, full=False)
        lost = [row["path"] for row in entry["rejected"]] if entry else []
        what = f"{lost[0]} cannot be prepared now" if lost else "it has other bytes"
        raise UserError(
            f"{shard.file} must come out as it was. Received: {what}: videos, PyAV and "
            "OpenCV must be those that the dataset was made with; nothing is replaced"
        )


def main(argv: Sequence[str]) -> None:
    """Repair the folder named.

    Raises:
        UserError: As `repair_dataset`; or not one folder is named.
    """
    if len(argv) != 2:
        raise UserError(
            f"repair needs one dataset directory. Received: {len(argv) - 1}; as in "
            "python -m data_prep repair data/ucf101 --videos UCF-101"
        )
    settings = flags.read(RepairConfig)
    if not settings.videos:
        raise UserError("repair needs --videos, the videos' folder. Received: none")
    repaired = repair_dataset(
        Path(argv[1]),
        Path(settings.videos),
        cores(settings.workers),
        flags.read(ProcessLimits),
    )
    for name in repaired:
        print(f"made again: {name}")
    print(f"{argv[1]}: {len(repaired)} shards made again" if repaired else
          f"{argv[1]}: every shard is as it was written, nothing to do")  # fmt: skip


def run() -> None:
    """Entry of `python -m data_prep repair`."""
    flags.define(RepairConfig)
    flags.define(ProcessLimits)
    flags.run(main, positional=True)
