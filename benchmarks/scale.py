"""What a Kinetics-700-size job costs, computed from clips prepared on one core.

    python benchmarks/scale.py --videos UCF-101

Kinetics is not at hand, so real clips stand in for its videos: cut to 16:9, enlarged to
1280 x 720, played forwards and backwards for 10 s at 25 frames per second, and encoded
as H.264 (x264, crf 23). Each is prepared as a decoding process does it. Printed are
means per video, and the totals of 650,000 such videos.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import av
import cv2
import numpy as np

from data_prep.jobs.item import prepare_item
from stfn_keras.config import PreparationConfig
from stfn_keras.video.limits import DecodingConfig

VIDEOS = 650_000
RATE, SECONDS = 25, 10
WIDTH, HEIGHT = 1280, 720


def enlarge(source: Path, target: Path) -> None:
    """Write a 10 s clip of 720p that moves as the source does."""
    with av.open(str(source)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    there_and_back = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(RATE * SECONDS):
            frame = frames[there_and_back[number % len(there_and_back)]]
            rows = frame.shape[1] * HEIGHT // WIDTH
            top = (frame.shape[0] - rows) // 2
            large = cv2.resize(
                frame[top : top + rows], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
            )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(large, "rgb24")))
        container.mux(stream.encode())


def decode(path: Path) -> float:
    """CPU seconds of decoding alone."""
    started = time.process_time()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass
    return time.process_time() - started


def prepare(path: Path, preset: str, size: str) -> tuple[float, int]:
    """CPU seconds and bytes of one video."""
    config = PreparationConfig(flow=(preset,), size=size)
    item = {
        "path": str(path),
        "id": path.name,
        "label": 0,
        "label_text": "a",
        "group": "",
        "roles": "r",
        "segment": None,
        "config": asdict(config),
        "decoding": asdict(DecodingConfig()),
        "frames_bound": 0.0,
    }
    started = time.process_time()
    record, _ = prepare_item(item)
    return time.process_time() - started, len(record)


def main() -> None:
    """Measure and print a line per preset and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", required=True, type=Path)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--presets", default="dis,tvl1_fast")
    parser.add_argument("--sizes", default="256,340x256")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    found = sorted(given.videos.rglob("*.avi"))
    chosen = [found[len(found) * i // given.clips] for i in range(given.clips)]
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(folder, f"{i}.mp4") for i in range(given.clips)]
        for source, clip in zip(chosen, clips, strict=True):
            enlarge(source, clip)
        alone = np.mean([decode(clip) for clip in clips])
        print(f"decoding alone: {alone:.2f} CPU s per video")
        print("preset      size      CPU s   MB     core-hours   TB")
        for preset in given.presets.split(","):
            for size in given.sizes.split(","):
                runs = [prepare(clip, preset, size) for clip in clips]
                cpu, count = np.mean(runs, axis=0)
                print(
                    f"{preset:11} {size:9} {cpu:5.2f} {count / 1e6:6.2f} "
                    f"{VIDEOS * cpu / 3600:11,.0f} {VIDEOS * count / 1e12:7.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
