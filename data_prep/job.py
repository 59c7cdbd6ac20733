"""The shard job: a description in, one shard file and its entry out.

    entry = run_job(job, report=print)

A pure function of the job and the videos it names: the same bytes wherever and
however often it runs. Everything is written aside and renamed when it is whole.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stfn_keras.config import PreparationConfig
from stfn_keras.data.ledger import Rejected
from stfn_keras.data.manifest import Shard
from stfn_keras.data.records import RecordWriter, encode_example
from stfn_keras.files import sha256, write_json
from stfn_keras.video.prepare import PreparedVideo, VideoError, prepare_video

WORK = ".work"

Job = dict[str, Any]
Entry = dict[str, Any]


def run_job(job: Job, report: Callable[[str | None], None]) -> Entry:
    """Prepare a shard's videos and write the shard and its entry.

    Args:
        job: As `plan.make_jobs` describes it; JSON throughout.
        report: Called after each video with None, or with why it is rejected.

    Returns:
        `shard`: the manifest's entry, None if no video could be used; `rejected`:
        the ledger's rows.

    Raises:
        RuntimeError: Something other than the video went wrong; names the video.
    """
    out = Path(job["out"])
    flow = tuple(job["config"]["flow"])
    config = PreparationConfig(**{**job["config"], "flow": flow})
    aside = out / WORK / f"{job['file']}.partial"
    rejected = []
    with open(aside, "wb") as file:
        writer = RecordWriter(file)
        for video in job["videos"]:
            reason = None
            try:
                prepared = prepare_video(Path(job["folder"], video["id"]), config)
            except VideoError as error:
                reason = error.reason
                rejected.append(
                    Rejected(video["id"], reason, error.declared, error.decoded)
                )
            except Exception as error:
                raise RuntimeError(f"{video['id']}: {error!r}") from error
            else:
                writer.write(_example(video, job["roles"], prepared))
            report(reason)
        file.flush()
        os.fsync(file.fileno())
    return _finish(job, aside, rejected)


def read_entry(out: Path, file: str) -> Entry | None:
    """Read a finished job's entry; None where its shard is still to be made."""
    try:
        entry = json.loads((out / WORK / f"{file}.json").read_text(encoding="utf-8"))
        shard = entry["shard"]
        if shard and sha256(out / file) != shard["sha256"]:
            return None
        return entry
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _example(video: dict[str, Any], roles: str, prepared: PreparedVideo) -> bytes:
    """One record of schema 1, snippet layout."""
    features = {
        "video/id": video["id"],
        "video/label": video["label"],
        "video/label_text": video["label_text"],
        "video/group": video["group"],
        "video/roles": roles,
        "video/frames": prepared.frames,
        "video/rate": prepared.rate,
        "video/height": prepared.height,
        "video/width": prepared.width,
        "snippet/frame": prepared.positions,
        "snippet/rgb": prepared.rgb,
    }
    mosaics = {f"flow/{name}": images for name, images in prepared.flow.items()}
    return encode_example({**features, **mosaics})


def _finish(job: Job, aside: Path, rejected: list[Rejected]) -> Entry:
    """Put the shard in its place, then say so: a reader of the entry finds both."""
    out = Path(job["out"])
    videos = len(job["videos"]) - len(rejected)
    shard = None
    if videos:
        digest = sha256(aside)
        size = aside.stat().st_size
        shard = asdict(Shard(job["file"], job["roles"], videos, size, digest))
        aside.replace(out / job["file"])
    else:
        aside.unlink()
    entry = {"shard": shard, "rejected": [asdict(row) for row in rejected]}
    write_json(out / WORK / f"{job['file']}.json", entry)
    return entry
