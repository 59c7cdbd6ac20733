"""What is kept of the frames that pass by: encoded snippets, or every frame and pair.

encoder = SnippetEncoder(("dis",), [extent.snippet(start, 90) for start in (3, 40)])
for index, frame in read(path, size, encoder.frames):
    encoder.add(index, frame)
rgb, flow = encoder.result()
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import cv2
import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.video import flow, image
from stfn_keras.video.extent import Snippet

Encoded = tuple[list[bytes], dict[str, list[bytes]]]
Pairs = tuple[int, ...]  # of one snippet


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
        presets: Of the flow that is wanted; none for snippets without pairs.
        snippets: They may repeat and overlap.
    """

    def __init__(self, presets: Sequence[str], snippets: list[Snippet]) -> None:
        self._order = snippets
        self._waiting: set[Pairs] = set()  # of which a mosaic is still to be made
        self._wanted_rgb: set[int] = set()
        self._wanted_pairs: set[int] = set()
        self._frames: set[int] = set()
        self._rgb: dict[int, bytes] = {}
        self._mosaics: dict[str, dict[Pairs, bytes]] = {name: {} for name in presets}
        self._codes: dict[str, dict[int, np.ndarray]] = {name: {} for name in presets}
        self._previous: np.ndarray | None = None
        self.bytes = 0
        self.want(snippets)

    @property
    def frames(self) -> Collection[int]:
        """Indices of the frames that it needs: one set, which `want` lets grow."""
        return self._frames

    def want(self, snippets: list[Snippet]) -> None:
        """Ask for more snippets, none of whose frames has passed yet."""
        self._waiting |= {snippet.pairs for snippet in snippets if snippet.pairs}
        rgb = {index for snippet in snippets for index in snippet.frames}
        pairs = {index for snippet in snippets for index in snippet.pairs}
        self._wanted_rgb |= rgb
        self._wanted_pairs |= pairs
        self._frames |= rgb | pairs | {pair + 1 for pair in pairs}

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
            self._finish(pair)
        self._previous = gray

    def result(self) -> Encoded:
        """Frames and flow of every snippet, in the order of `snippets`."""
        return self.taken(self._order)

    def taken(self, snippets: list[Snippet]) -> Encoded:
        """Frames and flow of these snippets, whose frames have passed."""
        rgb = [self._rgb[index] for snippet in snippets for index in snippet.frames]
        mosaics = {
            name: [found[snippet.pairs] for snippet in snippets]
            for name, found in self._mosaics.items()
        }
        return rgb, mosaics

    def forget(self, before: int) -> None:
        """Drop what only snippets need that start before this frame."""
        for index in [index for index in self._rgb if index < before]:
            self.bytes -= len(self._rgb.pop(index))
        for mosaics in self._mosaics.values():
            for pairs in [pairs for pairs in mosaics if pairs[0] < before]:
                self.bytes -= len(mosaics.pop(pairs))
        for wanted in (self._wanted_rgb, self._wanted_pairs, self._frames):
            wanted -= {index for index in wanted if index < before}

    def _finish(self, pair: int) -> None:
        """Encode the snippets whose last pair is there, and forget what is past."""
        whole = {pairs for pairs in self._waiting if max(pairs) == pair}
        self._waiting -= whole
        needed = min((pairs[0] for pairs in self._waiting), default=pair + 1)
        for name, codes in self._codes.items():
            for pairs in whole:
                stack = [codes[index] for index in pairs]
                self._mosaics[name][pairs] = image.encode_flow(np.stack(stack))
                self.bytes += len(self._mosaics[name][pairs])
            for past in [index for index in codes if index < needed]:
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
