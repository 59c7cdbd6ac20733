"""Rendered clips with known motion, and datasets of them."""

import time
from pathlib import Path

import cv2
import numpy as np

from stfn_keras.data.index import Indexed, write_index
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.trajectories.extractor import describe_video
from stfn_keras.video.writer import VideoWriter

HEIGHT, WIDTH, FRAMES = 64, 80, 21
CLASSES = ("down", "right")
# Clip, class and role; two splits.
CLIPS = (
    ("r0", "right", "rr"), ("d0", "down", "rr"), ("r1", "right", "re"),
    ("d1", "down", "re"), ("r2", "right", "er"), ("d2", "down", "er"),
)  # fmt: skip


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise, uint8 (height, width)."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 2.0)
    return cv2.normalize(smooth, None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)


def shifted(image: np.ndarray, x: float, y: float, shape: tuple) -> np.ndarray:
    """What lies at (x, y) of a larger picture, uint8 of `shape`."""
    move = np.array([[1, 0, x], [0, 1, y]], np.float64)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, move, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT
    )


def panned(frames: int, x: float, y: float, shape: tuple, seed: int = 0) -> list:
    """Frames whose whole content moves by (x, y) pixels per frame."""
    margin = 60
    large = texture(shape[0] + 2 * margin, shape[1] + 2 * margin, seed)
    return [
        shifted(large, margin - x * n, margin - y * n, shape) for n in range(frames)
    ]


def with_object(
    frames: list, x: float, y: float, start: tuple, side: int, seed: int = 9
) -> list:
    """Put a textured square on top that moves by (x, y) pixels per frame."""
    square = texture(side, side, seed)
    found = []
    for number, frame in enumerate(frames):
        frame = frame.copy()
        left, top = round(start[0] + x * number), round(start[1] + y * number)
        frame[top : top + side, left : left + side] = square
        found.append(frame)
    return found


def write(path: Path, frames: list) -> Path:
    """Write grey frames without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape
    with VideoWriter(path, height, width, lossless=True) as video:
        for number, frame in enumerate(frames):
            video.add(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB), number / 25)
    return path


def write_clip(path: Path, label: str, seed: int) -> Path:
    """A square that goes to the right or down before a still background."""
    background = panned(FRAMES, 0, 0, (HEIGHT, WIDTH), seed)
    x, y = (2, 0) if label == "right" else (0, 1.5)
    return write(path, with_object(background, x, y, (6, 6), 24, seed + 50))


def write_dataset(root: Path) -> tuple[Path, Path]:
    """A dataset of six clips with two splits, and the folder of its videos."""
    data, videos = root / "data", root / "videos"
    rows = []
    for seed, (name, label, roles) in enumerate(CLIPS):
        write_clip(videos / label / f"{name}.mkv", label, seed)
        rows.append((f"{label}/{name}.mkv", label, roles))
    write_index_of(data, rows, CLASSES, videos)
    return data, videos


def write_index_of(
    data: Path, rows: list, classes: tuple, videos: Path | None = None
) -> None:
    """Write a dataset's manifest and index, of (id, class, roles); no shards."""
    data.mkdir(parents=True)
    write_index(
        data,
        [
            Indexed(
                name, label, name, roles, f"small-{roles}.tfrecord", number, FRAMES,
                25.0, HEIGHT, WIDTH, 0, (videos / name).stat().st_size if videos else 0,
            )
            for number, (name, label, roles) in enumerate(rows)
        ],
    )  # fmt: skip
    shards = tuple(
        Shard(f"small-{roles}.tfrecord", roles, 2, 1, "0")
        for roles in sorted({roles for _, _, roles in rows})
    )
    Manifest(
        schema=1, name="small", protocol="csv", labels=classes, videos=len(rows),
        absent=0, shards=shards, flow={"dis": {"pairs": 5}}, layout="snippet",
        snippets=7, rgb_per_snippet=1, size="256", flip=True,
    ).save(data)  # fmt: skip


def crash_at_r0(path: Path, *arguments):
    """Describe a video, but end the process at one of them."""
    if path.name == "r0.mkv":
        import os

        os._exit(9)
    return describe_video(path, *arguments)


def slowly(path: Path, *arguments):
    """Describe a video in no hurry, so that a kill finds work left."""
    found = describe_video(path, *arguments)
    time.sleep(0.3)
    return found
