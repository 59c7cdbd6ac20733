"""Tiny clips, rendered when a test asks for them."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def render_clip() -> Callable:
    """A function that writes a clip of a texture that moves to the left."""

    def render(
        path: Path,
        frames: int = 30,
        size: tuple[int, int] = (64, 48),
        codec: str = "mpeg4",
        **container_options: str,
    ) -> Path:
        width, height = size
        rng = np.random.default_rng(7)
        shape = (height // 4 + 1, (width + 2 * frames) // 4 + 1, 3)
        texture = rng.integers(0, 255, shape, dtype=np.uint8)
        texture = texture.repeat(4, 0).repeat(4, 1)
        with av.open(str(path), "w", options=container_options) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.bit_rate = 2_000_000
            for index in range(frames):
                image = texture[:height, 2 * index : 2 * index + width]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return render
