"""What is kept of the frames that pass by: encoded snippets, or every frame and pair.

encoder = SnippetEncoder(config, positions=[3, 40, 77])
for index, frame in read(path, size, encoder.frames):
    encoder.add(index, frame)
rgb, flow = encoder.result()
"""

from collections.abc import Collection
from typing import Protocol

import cv2
import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.video import flow, image

Encoded = tuple[list[bytes], dict[str, list[bytes]]]


class Encoder(Protocol):
    """Takes a video's frames in order and keeps their encoded form.

    Attributes:
        frames: Indices of the frames that it needs.
        bytes: Encoded bytes kept so far.
    """

    frames: Collection[int]
    bytes: int

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next needed frame, uint8 RGB (height, width, 3)."""

    def result(self) -> Encoded:
        """JPEGs of frames, and mosaics of flow by preset."""


class SnippetEncoder:
    """Encodes snippets, keeping only the flow that is still needed.

    Args:
        config: Pairs and frames per snippet, flow presets.
        positions: First frame of each snippet; they may repeat and overlap.
    """

    def __init__(self, config: PreparationConfig, positions: list[int]) -> None:
        self._order = positions
        self._positions = set(positions)
        self._pairs = config.pairs
        self._rgb_per_snippet = config.rgb_per_snippet
        self._wanted_rgb = _spread(self._positions, config.rgb_per_snippet)
        self._wanted_pairs = _spread(self._positions, config.pairs)
        self._rgb: dict[int, bytes] = {}
        self._mosaics: dict[str, dict[int, bytes]] = {name: {} for name in config.flow}
        self._codes: dict[str, dict[int, np.ndarray]] = {n: {} for n in config.flow}
        self._previous: np.ndarray | None = None
        self.frames: Collection[int] = self._wanted_rgb | _spread(self._wanted_pairs, 2)
        self.bytes = 0

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next needed frame, uint8 RGB (height, width, 3)."""
        if index in self._wanted_rgb:
            self._rgb[index] = image.encode_rgb(frame)
            self.bytes += len(self._rgb[index])
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        pair = index - 1
        if pair in self._wanted_pairs and self._previous is not None:
            for name, codes in self._codes.items():
                codes[pair] = flow.quantise(flow.compute(name, self._previous, gray))
            self._finish(index - self._pairs)
        self._previous = gray

    def result(self) -> Encoded:
        """Frames and flow of every snippet, in the order of `positions`."""
        repeats = range(self._rgb_per_snippet)
        rgb = [self._rgb[start + r] for start in self._order for r in repeats]
        mosaics = {
            name: [found[start] for start in self._order]
            for name, found in self._mosaics.items()
        }
        return rgb, mosaics

    def _finish(self, position: int) -> None:
        """Encode the snippet whose last pair is there, and forget what is past."""
        for name, codes in self._codes.items():
            if position in self._positions:
                stack = [codes[position + offset] for offset in range(self._pairs)]
                self._mosaics[name][position] = image.encode_flow(np.stack(stack))
                self.bytes += len(self._mosaics[name][position])
            for past in [pair for pair in codes if pair <= position]:
                del codes[past]


class DenseEncoder:
    """Encodes every frame and every pair once.

    Args:
        config: Flow presets.
        frames: Of the video.
    """

    def __init__(self, config: PreparationConfig, frames: int) -> None:
        self._rgb: list[bytes] = []
        self._mosaics: dict[str, list[bytes]] = {name: [] for name in config.flow}
        self._previous: np.ndarray | None = None
        self.frames: Collection[int] = range(frames)
        self.bytes = 0

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next frame, uint8 RGB (height, width, 3)."""
        self._rgb.append(image.encode_rgb(frame))
        self.bytes += len(self._rgb[-1])
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if self._previous is not None:
            for name, mosaics in self._mosaics.items():
                code = flow.quantise(flow.compute(name, self._previous, gray))
                mosaics.append(image.encode_flow(code[np.newaxis]))
                self.bytes += len(mosaics[-1])
        self._previous = gray

    def result(self) -> Encoded:
        """All frames, and one mosaic for each pair of neighbours."""
        return self._rgb, self._mosaics


def _spread(starts: set[int], length: int) -> set[int]:
    return {start + offset for start in starts for offset in range(length)}
