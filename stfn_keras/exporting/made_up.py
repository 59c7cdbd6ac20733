"""Made-up videos, for a proof of parity where the run's data are not at hand.

with made_up_source(run, {"rgb": 224, "flow": 224}) as source:
    reference = read_reference(network, source, VIDEOS, made_up=True)

They have the size, flow field and snippets of the run's data and go the same way, from
encoded bytes on. What they cannot show is the accuracy.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import RecordWriter, encode_example
from stfn_keras.data.source import Source, open_source
from stfn_keras.files import sha256
from stfn_keras.training.run import Run
from stfn_keras.video import image
from stfn_keras.video.extent import Extent

VIDEOS = 8
_GRAIN = 8  # pixels of the frame per independent value


@contextlib.contextmanager
def made_up_source(run: Run, sizes: dict[str, int]) -> Iterator[Source]:
    """Give a source of `VIDEOS` videos of smooth noise while the `with` lasts.

    Args:
        run: Whose preprocessing they have.
        sizes: Side in pixels of each stream's input, by stream.
    """
    model = run.model
    flow = {**run.preprocessing["flow"][run.flow], "pairs": model.pairs}
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="stfn-") as temporary:
        folder = Path(temporary)
        path = folder / "made-up.tfrecord"
        with path.open("wb") as file:
            for number in range(VIDEOS):
                video = _video(run, number, draws)
                RecordWriter(file).write(encode_example(video))
        shard = Shard(path.name, "e", VIDEOS, path.stat().st_size, sha256(path))
        manifest = Manifest(
            schema=1, name="made-up", protocol="csv", labels=run.labels, videos=VIDEOS,
            absent=0, shards=(shard,), flow={run.flow: flow}, layout="snippet",
            snippets=model.segments, rgb_per_snippet=model.frames,
            size=run.preprocessing["size"], flip=run.preprocessing["flip"],
        )  # fmt: skip
        extent = Extent.of(model)
        yield open_source(folder, manifest, 1, "e", run.flow, sizes, extent)


def _video(run: Run, number: int, draws: np.random.Generator) -> dict:
    segments, pairs = run.model.segments, run.model.pairs
    height, width = frame_size(run.preprocessing["size"], wide=number % 2 == 0)
    count = segments * run.model.frames
    frames = [_noise(draws, height, width, 3) for _ in range(count)]
    flows = [
        np.stack([np.maximum(_noise(draws, height, width, 2), 1) for _ in range(pairs)])
        for _ in range(segments)
    ]
    return {
        "video/id": f"made-up {number}",
        "video/label": 0,
        "video/height": height,
        "video/width": width,
        "snippet/frame": list(range(segments)),
        "snippet/rgb": [image.encode_rgb(frame) for frame in frames],
        f"flow/{run.flow}": [image.encode_flow(code) for code in flows],
    }


def frame_size(size: str, wide: bool) -> tuple[int, int]:
    """Height and width of a frame: as `--size` says, 4:3 or 3:4 where it leaves it."""
    if "x" in size:
        width, height = (int(side) for side in size.split("x"))
        return height, width
    short, long = int(size), int(size) * 4 // 3
    return (short, long) if wide else (long, short)


def _noise(
    draws: np.random.Generator, height: int, width: int, channels: int
) -> np.ndarray:
    """Noise that a JPEG keeps: uint8 (height, width, channels), 0-255."""
    rows, columns = -(-height // _GRAIN), -(-width // _GRAIN)
    coarse = draws.integers(0, 256, (rows, columns, channels)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
