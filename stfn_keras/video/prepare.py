"""From a video file to the encoded snippets that datasets and prediction share.

    prepared = prepare_video("clip.avi", PreparationConfig(flow=("dis",)))
    prepared.rgb[0]  # the JPEG of the first snippet's frame
    prepared.flow["dis"][0]  # the mosaic of its flow

Two passes in order, and bounded memory: the first counts the frames, the second
decodes up to the last frame needed and computes each needed pair once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import cv2
import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.video import decode, flow, image
from stfn_keras.video.decode import VideoError

__all__ = ["PreparedVideo", "VideoError", "prepare_video", "snippet_positions"]


@dataclass(frozen=True)
class PreparedVideo:
    """A video's encoded snippets.

    Attributes:
        frames_declared: What the container's header declares; 0 if nothing.
        frames: Frames decoded.
        rate: Mean frames per second.
        height: Of the stored frames and flow, in pixels.
        width: Likewise.
        positions: The first frame of each snippet.
        rgb: `rgb_per_snippet` JPEGs for each snippet, snippet by snippet.
        flow: One grayscale mosaic for each snippet, by preset.
    """

    frames_declared: int
    frames: int
    rate: float
    height: int
    width: int
    positions: list[int]
    rgb: list[bytes]
    flow: dict[str, list[bytes]]


def snippet_positions(frames: int, config: PreparationConfig) -> list[int]:
    """First frames of K evenly spread snippets: floor((k + 0.5) (N - span + 1) / K).

    They repeat where a video has fewer than K places for a snippet.

    Raises:
        ValueError: The video is shorter than a snippet.
    """
    places = frames - _span(config) + 1
    if places < 1:
        raise ValueError(f"a snippet has {_span(config)} frames. Received: {frames}")
    snippets = config.snippets
    return [(2 * k + 1) * places // (2 * snippets) for k in range(snippets)]


def prepare_video(
    path: str | PathLike,
    config: PreparationConfig,
    select: Sequence[int] | None = None,
) -> PreparedVideo:
    """Decode a video, resize it, compute its flow and encode its snippets.

    Args:
        path: A video file; only read.
        config: How.
        select: Which of the K snippets to make, as indices; None for all. The
            lists of the result then hold these snippets, in this order, each with
            the same bytes as in a full run.

    Raises:
        VideoError: The video cannot be used; its `reason` is a word of the ledger.
        UserError: An unknown flow preset, or OpenCV without contrib.
    """
    for name in config.flow:
        flow.get_preset(name)
    with flow.single_thread():
        info = decode.count(path)
        if info.frames < _span(config):
            raise VideoError("too short", info.declared, info.frames)
        size = decode.stored_size(info, config.size)
        if min(size) < flow.MINIMUM_SIDE:
            raise VideoError("too small", info.declared, info.frames)
        positions = snippet_positions(info.frames, config)
        if select is not None:
            positions = [positions[index] for index in select]
        snippets = _Snippets(config, set(positions))
        for index, frame in decode.read(path, size, snippets.frames):
            snippets.add(index, frame)
    repeats = range(config.rgb_per_snippet)
    return PreparedVideo(
        frames_declared=info.declared,
        frames=info.frames,
        rate=info.rate,
        height=size[0],
        width=size[1],
        positions=positions,
        rgb=[snippets.rgb[p + r] for p in positions for r in repeats],
        flow={
            name: [mosaics[p] for p in positions]
            for name, mosaics in snippets.mosaics.items()
        },
    )


def _span(config: PreparationConfig) -> int:
    """Frames that a snippet reaches over."""
    return max(config.pairs + 1, config.rgb_per_snippet)


class _Snippets:
    """Encodes snippets while frames pass by, keeping only what is still needed."""

    def __init__(self, config: PreparationConfig, positions: set[int]) -> None:
        self.pairs = config.pairs
        self.positions = positions
        self.wanted_rgb = _spread(positions, config.rgb_per_snippet)
        self.wanted_pairs = _spread(positions, config.pairs)
        self.frames = self.wanted_rgb | _spread(self.wanted_pairs, 2)
        self.rgb: dict[int, bytes] = {}
        self.mosaics: dict[str, dict[int, bytes]] = {name: {} for name in config.flow}
        self.codes: dict[str, dict[int, np.ndarray]] = {n: {} for n in config.flow}
        self.previous: np.ndarray | None = None

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next wanted frame, uint8 RGB (height, width, 3)."""
        if index in self.wanted_rgb:
            self.rgb[index] = image.encode_rgb(frame)
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        pair = index - 1
        if pair in self.wanted_pairs and self.previous is not None:
            for name, codes in self.codes.items():
                codes[pair] = flow.quantise(flow.compute(name, self.previous, gray))
            self._finish(index - self.pairs)
        self.previous = gray

    def _finish(self, position: int) -> None:
        """Encode the snippet whose last pair is there, and forget what is past."""
        for name, codes in self.codes.items():
            if position in self.positions:
                stack = [codes[position + offset] for offset in range(self.pairs)]
                self.mosaics[name][position] = image.encode_flow(np.stack(stack))
            for past in [pair for pair in codes if pair <= position]:
                del codes[past]


def _spread(starts: set[int], length: int) -> set[int]:
    return {start + offset for start in starts for offset in range(length)}
