"""Peak memory of preparing a long 1080p video; prints MB and seconds.

python benchmarks/decode_memory.py --minutes 10
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
from absl import app, flags

from stfn_keras.config import LAYOUTS, PreparationConfig
from stfn_keras.video.prepare import prepare_video

RATE = 25  # frames per second
WIDTH, HEIGHT = 1920, 1080
BOX = 200  # side of what moves, in pixels


def render(path: Path, minutes: float) -> None:
    """Write a video of a bright box that moves over noise that does not."""
    noise = np.random.default_rng(0).integers(0, 160, (HEIGHT // 8, WIDTH // 8))
    still = noise.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "30"}
        for index in range(round(minutes * 60 * RATE)):
            x = 5 * index % (WIDTH - BOX)
            picture = still.copy()
            picture[400 : 400 + BOX, x : x + BOX] += 90
            planes = np.concatenate([picture, chroma])  # (height * 3 / 2, width)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def prepare(path: Path, config: PreparationConfig) -> tuple[int, float, float, float]:
    """Prepare a video in this process.

    Returns:
        Frames, encoded MB, CPU seconds, and the process's peak memory in MB.
    """
    began = time.process_time()
    prepared = prepare_video(path, config)
    seconds = time.process_time() - began
    encoded = sum(map(len, sum(prepared.flow.values(), prepared.rgb)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return prepared.frames, encoded / 1e6, seconds, peak / 1e6


def in_child(call: Callable, *arguments: Any) -> Any:
    """Call in a fresh process, whose memory is the call's alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(call, *arguments).result()


def main(_: Sequence[str]) -> None:
    """Render a video and measure its preparation."""
    values = flags.FLAGS
    config = PreparationConfig(flow=tuple(values.flow), layout=values.layout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "long.mp4")
        in_child(render, path, values.minutes)
        size = path.stat().st_size / 1e6
        frames, encoded, seconds, peak = in_child(prepare, path, config)
    print(
        f"{frames} frames of {WIDTH} x {HEIGHT} ({size:.0f} MB), "
        f"{values.layout} layout ({encoded:.1f} MB): peak {peak:.0f} MB, "
        f"{seconds:.0f} s CPU"
    )


if __name__ == "__main__":
    flags.DEFINE_float("minutes", 10.0, "length of the video")
    flags.DEFINE_list("flow", ["dis"], "flow presets")
    flags.DEFINE_enum("layout", "snippet", LAYOUTS, "what is kept")
    app.run(main)
