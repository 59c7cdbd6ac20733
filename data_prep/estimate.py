"""What a preparation will take, from a few of its videos, before it starts.

    estimate = measure(jobs)
    print(estimate)  # about 3 h on 2 workers, 5.9 GB

Two trials per video, one snippet and then three, tell the cost of decoding from the
cost of a snippet, whatever the flow preset and the video's length.
"""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.jobs.isolated import Decoder, ProcessLimits
from data_prep.jobs.job import Job, make_item
from stfn_keras import storage
from stfn_keras.video.decode import VideoError

TRIALS = 5  # videos at most
SHARE = 400  # snippets to make for each of them, so that trials stay cheap
PATIENCE = 20.0  # seconds for a trial
WORTHWHILE = 16  # videos: fewer are done before an estimate is


@dataclass(frozen=True)
class Estimate:
    """What a preparation will take, give or take a third.

    Attributes:
        videos: To prepare.
        cpu_seconds: On one core, all videos together.
        bytes: Of all shards.
    """

    videos: int
    cpu_seconds: float
    bytes: float

    def text(self, workers: int, out: str) -> str:
        """One line for people, with what the disk has left."""
        seconds = self.cpu_seconds / workers
        line = (
            f"estimate: {self.videos} videos, about {duration(seconds)} with "
            f"{workers} workers, {size(self.bytes)}"
        )
        if storage.is_remote(out):
            return line
        free = shutil.disk_usage(_existing(Path(out))).free
        line += f" of {size(free)} free"
        return line + (": too little" if self.bytes > free else "")


def measure(jobs: Sequence[Job]) -> Estimate | None:
    """Try a few videos, evenly spread, for a few seconds each at most.

    Returns:
        None where an estimate is not worth its time, or no trial succeeds.

    Raises:
        UserError: As `Decoder.prepare`.
    """
    pairs = [(job, video) for job in jobs for video in job["videos"]]
    if len(pairs) < WORTHWHILE or pairs[0][0]["frames_bound"]:
        return None
    snippets = len(pairs) * pairs[0][0]["config"]["snippets"]
    trials = min(TRIALS, max(snippets // SHARE, 1))
    step = len(pairs) // trials
    costs = []
    limits = {**jobs[0]["limits"], "max_cpu_seconds": PATIENCE}
    with Decoder(ProcessLimits(**{**limits, "stall_seconds": PATIENCE})) as decoder:
        for job, video in pairs[::step][:trials]:
            with contextlib.suppress(VideoError):
                costs.append(_cost(job, video, decoder))
    if not costs:
        return None
    seconds, total = (sum(column) / len(costs) for column in zip(*costs, strict=True))
    return Estimate(len(pairs), seconds * len(pairs), total * len(pairs))


def _cost(job: Job, video: dict, decoder: Decoder) -> tuple[float, float]:
    """CPU seconds and bytes of a video's whole record."""
    config = {**job["config"], "layout": "snippet"}
    snippets = config["snippets"]
    one, three = [snippets // 2], [0, snippets // 2, snippets - 1]
    item = {**make_item(job, video), "config": config}
    _, first = decoder.prepare({**item, "select": one})
    _, second = decoder.prepare({**item, "select": three})
    # The first trial reads one and a half times through the video, the second twice.
    apart = max(second["pairs"] - 4 / 3 * first["pairs"], 1)
    pair = max(second["cpu"] - 4 / 3 * first["cpu"], 0.0) / apart
    decoded = max(first["cpu"] - first["pairs"] * pair, 1e-3) / 1.5
    pairs = second["frames"] - 1
    if job["config"]["layout"] == "dense":
        size = second["rgb_bytes"] + second["flow_bytes"] / config["pairs"]
        total = size * second["frames"]
    else:
        # Snippets share pairs with their neighbours only in short videos.
        pairs = min(snippets * config["pairs"], pairs)
        rgb = second["rgb_bytes"] * config["rgb_per_snippet"]
        total = snippets * (rgb + second["flow_bytes"])
    return 2 * decoded + pairs * len(config["flow"]) * pair, total


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 12 min, 3.5 h, 2.1 days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.{1 if length > 60 else 0}f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Bytes in words: 391 MB, 5.9 GB."""
    for unit, length in (("TB", 1e12), ("GB", 1e9)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e6:.0f} MB"


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
