"""Frames and flow that another program extracted, made the snippets of a dataset.

    prepared = prepare_frames("rawframes/Walk/clip_1", config, bound=20.0)
    prepared.flow["external"][0]  # the mosaic of the first snippet's flow

A folder per video, as TSN's dense_flow, denseflow and MMAction2 write it:
img_00001.jpg, flow_x_00001.jpg, flow_y_00001.jpg and so on. Flow is decoded by the
code and the bound of those programs, resized with its vectors, and coded as ours.
Only images that the result holds are read, one at a time.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.video import decode, flow, image, jpeg
from stfn_keras.video.container import VideoError, refused_memory
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import (
    MAX_ENCODED_BYTES,
    PreparedVideo,
    snippet_positions,
)

CODE = "round(255 (f + b) / (2 b))"  # of flow images; f in pixels, b the bound

_NAME = re.compile(r"(img_|image_|flow_x_|flow_y_|x_|y_|)(\d+)\.(jpe?g|png)", re.I)
_KINDS = {"flow_x_": "u", "x_": "u", "flow_y_": "v", "y_": "v"}
_FOLDERS = {"flow_x": "u", "flow_y": "v"}
_PNG = b"\x89PNG\r\n\x1a\n"


def external_field(bound: float, pairs: int) -> dict[str, Any]:
    """Describe flow that another program extracted, as a manifest's flow field.

    Args:
        bound: The motion, in pixels per frame at the size it was extracted at, that
            its images code by 255.
        pairs: Flow pairs per snippet.
    """
    return {
        "preset": flow.EXTERNAL,
        "version": 1,
        "parameters": {"code": CODE, "source_bound": bound},
        "opencv": cv2.__version__,
        "bound": flow.FLOW_BOUND,
        "pairs": pairs,
    }


def prepare_frames(
    folder: str | PathLike,
    config: PreparationConfig,
    *,
    bound: float = flow.FLOW_BOUND,
    decoding: DecodingConfig = DEFAULT_DECODING,
) -> PreparedVideo:
    """Turn a folder of extracted frames and flow into what `prepare_video` returns.

    Flow images are one fewer than frames, each from its frame to the next, or as many
    as frames, each from the frame before to its own, as TSN's program writes them
    (it does not write a video's first frame).

    Args:
        folder: Of one video; only read.
        config: How; `flow` is not used.
        bound: The motion b, in pixels per frame at the flow images' own size, at
            which their code round(255 (f + b) / (2 b)) ends.
        decoding: Limits. Damage always refuses the video.

    Returns:
        The snippets or, with the dense layout, every frame and pair. The flow field
        is named `external`; the rate is unknown, 0.0.

    Raises:
        VideoError: The video cannot be used. `damaged`: numbers are missing or
            double, u, v and frames do not go together, sizes differ, or an image
            cannot be decoded.
        UserError: The bound is not above 0, or a snippet has more pairs than an image
            can hold at the configured size.
    """
    if not 0.0 < bound < float("inf"):
        raise UserError(
            f"the bound of extracted flow must be above 0 pixels, 20 for TSN's. "
            f"Received: {bound}"
        )
    image.check_pairs(config)
    listing = _list(Path(folder), decoding)
    with flow.single_thread(), refused_memory(listing.declared):
        return _Reader(listing, config, bound, decoding).prepare()


@dataclass
class _Listing:
    """A folder's images by kind and number."""

    images: dict[int, Path] = field(default_factory=dict)
    u: dict[int, Path] = field(default_factory=dict)
    v: dict[int, Path] = field(default_factory=dict)
    bytes: int = 0

    @property
    def declared(self) -> int:
        """Frames that the numbers promise."""
        return max(self.images) - min(self.images) + 1 if self.images else 0

    def add(self, kind: str, number: int, entry: os.DirEntry) -> None:
        files: dict[int, Path] = getattr(self, kind)
        if number in files:
            raise VideoError("damaged", self.declared)
        files[number] = Path(entry.path)
        size = entry.stat().st_size
        if not size:
            raise VideoError("damaged", self.declared)
        self.bytes += size

    def check(self, decoding: DecodingConfig) -> None:
        """Raise VideoError unless frames and flow go together, within the limits."""
        declared = self.declared
        if not self.images:
            raise VideoError("no frames")
        if len(self.images) > decoding.max_frames or self.bytes > decoding.max_bytes:
            raise VideoError("too large", declared)
        whole = all(
            max(numbers) - min(numbers) + 1 == len(numbers)
            for numbers in (self.images, self.u)
            if numbers
        )
        late = len(self.u) - len(self.images)
        if not whole or self.u.keys() != self.v.keys() or late not in (-1, 0):
            raise VideoError("damaged", declared)


def _list(folder: Path, decoding: DecodingConfig) -> _Listing:
    listing = _Listing()
    try:
        for name, kind in (("", "images"), *_FOLDERS.items()):
            if name and not (folder / name).is_dir():
                continue
            with os.scandir(folder / name) as entries:
                for entry in entries:
                    match = _NAME.fullmatch(entry.name)
                    if match and entry.is_file():
                        kind_here = _KINDS.get(match[1].lower(), kind)
                        listing.add(kind_here, int(match[2]), entry)
    except (FileNotFoundError, ValueError):  # a null character is in no name
        raise VideoError("missing") from None
    except OSError as error:
        raise VideoError("unreadable container") from error
    listing.check(decoding)
    return listing


class _Reader:
    """Reads the images that are needed, in order, and encodes them."""

    def __init__(
        self,
        listing: _Listing,
        config: PreparationConfig,
        bound: float,
        decoding: DecodingConfig,
    ) -> None:
        self.config = config
        self.bound = bound
        self.max_pixels = decoding.max_pixels
        self.declared = listing.declared
        self.images, self.u, self.v = (
            [files[number] for number in sorted(files)]
            for files in (listing.images, listing.u, listing.v)
        )
        # With as many flow images as frames, the first leads to the first frame.
        self.skipped = len(self.u) - (len(self.images) - 1)
        self.sizes: dict[str, tuple[int, int]] = {}
        self.strict = jpeg.Decoder()
        self.bytes = 0

    def prepare(self) -> PreparedVideo:
        frames, config = len(self.images), self.config
        try:
            positions = snippet_positions(frames, config)
        except ValueError:
            raise VideoError("too short", self.declared, frames) from None
        height, width = self.image(self.images[0], "frame").shape[:2]
        info = decode.VideoInfo(self.declared, frames, 0.0, height, width)
        self.size = decode.stored_size(info, config.size)
        if min(self.size) < flow.MINIMUM_SIDE:
            raise VideoError("too small", self.declared, frames)
        dense = config.layout == "dense"
        if not image.fits(*self.size, 1 if dense else config.pairs):
            raise VideoError("too large", self.declared, frames)
        if dense:
            rgb = [self.rgb(index) for index in range(frames)]
            mosaics = list(self.mosaics(range(frames - 1), 1))
        else:
            repeats = range(config.rgb_per_snippet)
            wanted = sorted({start + r for start in positions for r in repeats})
            found = {index: self.rgb(index) for index in wanted}
            rgb = [found[start + r] for start in positions for r in repeats]
            starts = sorted(set(positions))
            made = dict(zip(starts, self.mosaics(starts, config.pairs), strict=True))
            mosaics = [made[start] for start in positions]
        # Snippets that repeat or overlap are stored again.
        self.check_bytes(sum(map(len, chain(rgb, mosaics))))
        return PreparedVideo(
            frames_declared=self.declared,
            frames=frames,
            rate=0.0,
            height=self.size[0],
            width=self.size[1],
            positions=positions,
            rgb=rgb,
            flow={flow.EXTERNAL: mosaics},
        )

    def rgb(self, index: int) -> bytes:
        """A frame at the stored size, as a JPEG."""
        frame = decode.resize(self.image(self.images[index], "frame"), self.size)
        return self.kept(image.encode_rgb(frame))

    def mosaics(self, starts: range | list[int], pairs: int) -> Iterator[bytes]:
        """The mosaic of the pairs from each start on; starts increase."""
        codes: dict[int, np.ndarray] = {}
        for start in starts:
            for past in [pair for pair in codes if pair < start]:
                del codes[past]
            for pair in range(start, start + pairs):
                if pair not in codes:
                    codes[pair] = self.code(pair)
            stack = np.stack([codes[start + offset] for offset in range(pairs)])
            yield self.kept(image.encode_flow(stack))

    def code(self, pair: int) -> np.ndarray:
        """A pair's flow at the stored size, in our code: uint8 (height, width, 2)."""
        files = (side[pair + self.skipped] for side in (self.u, self.v))
        codes = np.stack([self.image(file, "flow") for file in files], axis=-1)
        field = codes.astype(np.float32) * np.float32(2 * self.bound / 255)
        field -= np.float32(self.bound)
        height, width = codes.shape[:2]
        scale = np.array([self.size[1] / width, self.size[0] / height], np.float32)
        return flow.quantise(decode.resize(field, self.size) * scale)

    def image(self, path: Path, kind: str) -> np.ndarray:
        """Decode an image: uint8 RGB (height, width, 3), or flow's (height, width).

        Raises:
            VideoError: It cannot be decoded, is too large, or is not of the size of
                the first of its kind.
        """
        damaged = VideoError("damaged", self.declared)
        try:
            data = path.read_bytes()
            is_png = data.startswith(_PNG)
            if is_png:
                size = int.from_bytes(data[20:24]), int.from_bytes(data[16:20])
            else:
                header = jpeg.read_header(data, strict=False)
                size = header.height, header.width
            if size[0] * size[1] > self.max_pixels:
                raise VideoError("too large", self.declared)
            if size != self.sizes.setdefault(kind, size):
                raise damaged
            if not is_png:
                self.strict.check(data)
        except (OSError, ValueError) as error:
            raise damaged from error
        grey = kind == "flow"
        mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
        mode |= cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
        if pixels is None or pixels.shape[:2] != size:
            raise damaged
        return pixels if grey else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def kept(self, data: bytes) -> bytes:
        self.bytes += len(data)
        self.check_bytes(self.bytes)
        return data

    def check_bytes(self, size: int) -> None:
        if size > MAX_ENCODED_BYTES:
            raise VideoError("too large", self.declared, len(self.images))
