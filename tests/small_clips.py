"""Small clips without loss, of any length and frame rate."""

from pathlib import Path

import numpy as np

from stfn_keras.video.writer import VideoWriter

SIZE = 40, 56


def write_clip(path: Path, frames: int, rate: float = 25.0, seed: int = 0) -> Path:
    """Write a texture that moves, without loss; its look changes on the way."""
    height, width = SIZE
    draws = np.random.default_rng(seed)
    texture = draws.integers(0, 255, (height // 4, width + 2 * frames, 3), np.uint8)
    texture = texture.repeat(4, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, height, width, lossless=True) as video:
        for index in range(frames):
            frame = texture[:, 2 * index : 2 * index + width].copy()
            frame[..., 0] = 255 * index // frames
            video.add(frame, index / rate)
    return path
