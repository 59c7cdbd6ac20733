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
        bytes: Encoded bytes kept so far.
    """

    bytes: int

    @property
    def frames(self) -> Collection[int]:
        """Indices of the frames that it needs."""

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next needed frame, uint8 RGB (height, width, 3)."""

    def result(self) -> Encoded:
        """JPEGs of frames, and mosaics of flow by preset."""


class SnippetEncoder:
    """Encodes snippets, keeping only the flow that is still needed.

    Args:
        config: Pairs and frames per snippet, flow presets.
        positions: First frame of each snippet; they may repeat and overlap.
        with_flow: Whether flow is wanted too.
    """

    def __init__(
        self, config: PreparationConfig, positions: list[int], with_flow: bool = True
    ) -> None:
        presets = config.flow if with_flow else ()
        self._order = positions
        self._pairs = config.pairs if with_flow else 0
        self._rgb_per_snippet = config.rgb_per_snippet
        self._positions: set[int] = set()
        self._wanted_rgb: set[int] = set()
        self._wanted_pairs: set[int] = set()
        self._frames: set[int] = set()
        self._rgb: dict[int, bytes] = {}
        self._mosaics: dict[str, dict[int, bytes]] = {name: {} for name in presets}
        self._codes: dict[str, dict[int, np.ndarray]] = {name: {} for name in presets}
        self._previous: np.ndarray | None = None
        self.bytes = 0
        self.want(positions)

    @property
    def frames(self) -> Collection[int]:
        """Indices of the frames that it needs: one set, which `want` lets grow."""
        return self._frames

    def want(self, positions: list[int]) -> None:
        """Ask for more snippets, none of whose frames has passed yet."""
        new = set(positions)
        self._positions |= new
        rgb, pairs = _spread(new, self._rgb_per_snippet), _spread(new, self._pairs)
        self._wanted_rgb |= rgb
        self._wanted_pairs |= pairs
        self._frames |= rgb | _spread(pairs, 2)

    def add(self, index: int, frame: np.ndarray) -> None:
        """Take the next needed frame, uint8 RGB (height, width, 3)."""
        if index in self._wanted_rgb:
            self._rgb[index] = image.encode_rgb(frame)
            self.bytes += len(self._rgb[index])
        if not self._codes:
            return
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        pair = index - 1
        if pair in self._wanted_pairs and self._previous is not None:
            for name, codes in self._codes.items():
                codes[pair] = flow.quantise(flow.compute(name, self._previous, gray))
            self._finish(index - self._pairs)
        self._previous = gray

    def result(self) -> Encoded:
        """Frames and flow of every snippet, in the order of `positions`."""
        return self.taken(self._order)

    def taken(self, positions: list[int]) -> Encoded:
        """Frames and flow of these snippets, whose frames have passed."""
        repeats = range(self._rgb_per_snippet)
        rgb = [self._rgb[start + r] for start in positions for r in repeats]
        mosaics = {
            name: [found[start] for start in positions]
            for name, found in self._mosaics.items()
        }
        return rgb, mosaics

    def forget(self, before: int) -> None:
        """Drop what only snippets need that start before this frame."""
        kept: tuple[dict[int, bytes], ...] = (self._rgb, *self._mosaics.values())
        for encoded in kept:
            for past in [index for index in encoded if index < before]:
                self.bytes -= len(encoded.pop(past))
        for wanted in (
            self._positions, self._wanted_rgb, self._wanted_pairs, self._frames,
        ):  # fmt: skip
            wanted -= {index for index in wanted if index < before}

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
