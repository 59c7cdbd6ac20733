"""The shard job: a description in, one shard file and its entry out.

    entry = run_job(job, report=print)

A pure function of the job and the videos it names: the same bytes wherever and
however often it runs. A shard is written aside, synced, and put in its place when it
is whole; its entry comes after it, so who finds an entry finds the shard.
"""

import contextlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.jobs.isolated import Decoder, ProcessLimits
from data_prep.jobs.item import Item
from stfn_keras import storage
from stfn_keras.data.index import Indexed
from stfn_keras.data.ledger import Rejected
from stfn_keras.data.manifest import Shard
from stfn_keras.data.records import RecordWriter
from stfn_keras.files import sha256
from stfn_keras.video.decode import VideoError

WORK = ".work"
PARTIAL = ".partial"  # end of the names of files that are not whole

BY_LIMITS = ("too large", "timed out")

Job = dict[str, Any]
Entry = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        id: The video's.
        reason: Why it is in no shard; None if it is in one.
        pairs: Flow pairs computed for it.
        detail: What else is known of its failure.
    """

    id: str
    reason: str | None = None
    pairs: int = 0
    detail: str = ""


def run_job(
    job: Job, report: Callable[[Outcome], None], decoder: Decoder | None = None
) -> Entry:
    """Prepare a shard's videos and write the shard and its entry.

    Args:
        job: As `plan.make_jobs` describes it; JSON throughout.
        report: Called after each video.
        decoder: Prepares the videos; made for this job if not given.

    Returns:
        `file`; `shard`: the manifest's entry, None if no video could be used;
        `videos`: the index's rows; `rejected`: the ledger's; `limits`: the job's.

    Raises:
        UserError: The settings cannot be used, or no decoder can be kept alive.
        StoppedError: The decoder was stopped.
        OSError: The shard cannot be written.
    """
    if decoder is None:
        with Decoder(ProcessLimits(**job["limits"])) as decoder:
            return run_job(job, report, decoder)
    indexed: list[Indexed] = []
    rejected: list[Rejected] = []
    with _aside(job) as aside:
        with open(aside, "wb") as file:
            writer = RecordWriter(file)
            for video in job["videos"]:
                try:
                    record, info = decoder.prepare(make_item(job, video))
                except VideoError as error:
                    rejected.append(
                        Rejected(
                            video["id"], error.reason, error.declared, error.decoded
                        )
                    )
                    detail = " ".join(getattr(error, "__notes__", ()))
                    report(Outcome(video["id"], error.reason, detail=detail))
                else:
                    indexed.append(_indexed(job, video, len(indexed), info))
                    writer.write(record)
                    report(Outcome(video["id"], pairs=info["pairs"]))
            file.flush()
            os.fsync(file.fileno())
        return _finish(job, aside, indexed, rejected)


def make_item(job: Job, video: dict[str, Any]) -> Item:
    """What a decoder needs to know of one of a job's videos."""
    shared = ("roles", "config", "decoding", "frames_bound")
    return {
        **{key: job[key] for key in shared},
        **video,
        "path": os.path.join(job["folder"], video["file"]),
    }


def made(job: Job) -> Entry | None:
    """A job's entry; None where its shard is still to be made.

    Or to be made again: other limits may be kinder to a video that exceeded its own.
    """
    entry = read_entry(job["out"], job["file"])
    if entry and entry["limits"] != job["limits"]:
        if any(row["reason"] in BY_LIMITS for row in entry["rejected"]):
            return None
    return entry


def read_entry(out: str, file: str, full: bool = True) -> Entry | None:
    """Read a finished job's entry; None where there is none, or not its shard.

    Args:
        out: The dataset directory, a folder or an address.
        file: Name of the shard.
        full: Whether to digest a local shard too; its size alone is quick.
    """
    try:
        entry = json.loads(storage.read_text(_entry_location(out, file)))
        shard = entry["shard"]
        place = storage.join(out, file)
        if shard and storage.size(place) != shard["bytes"]:
            return None
        if shard and full and not storage.is_remote(out):
            return entry if sha256(Path(place)) == shard["sha256"] else None
        return entry
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _entry_location(out: str, file: str) -> str:
    return storage.join(out, f"{WORK}/{file}.json")


@contextlib.contextmanager
def _aside(job: Job) -> Iterator[Path]:
    """A local path to write the shard to, on the disk where it will stay.

    Its name is its own: a cluster may try one job twice at a time.
    """
    if storage.is_remote(job["out"]):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, job["file"])
    else:
        yield Path(job["out"], WORK, f"{job['file']}.{uuid.uuid4().hex}{PARTIAL}")


def _indexed(
    job: Job, video: dict[str, Any], record: int, info: dict[str, Any]
) -> Indexed:
    return Indexed(
        path=video["id"],
        label=video["label_text"],
        group=video["group"],
        roles=job["roles"],
        shard=job["file"],
        record=record,
        frames=info["frames"],
        rate=info["rate"],
        height=info["height"],
        width=info["width"],
        errors=info["errors"],
        bytes=video["bytes"],
    )


def _finish(
    job: Job, aside: Path, indexed: list[Indexed], rejected: list[Rejected]
) -> Entry:
    """Put the shard in its place, then say so."""
    out, file = job["out"], job["file"]
    shard = None
    if indexed:
        size, digest = aside.stat().st_size, sha256(aside)
        shard = asdict(Shard(file, job["roles"], len(indexed), size, digest))
        storage.put(aside, storage.join(out, file))
    else:
        aside.unlink()
    entry: Entry = {
        "file": file,
        "shard": shard,
        "videos": [asdict(row) for row in indexed],
        "rejected": [asdict(row) for row in rejected],
        "limits": job["limits"],
    }
    aside.write_text(json.dumps(entry) + "\n")
    storage.put(aside, _entry_location(out, file))
    return entry
