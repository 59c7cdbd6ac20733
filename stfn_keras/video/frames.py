"""Frames and flow that another program extracted, made the snippets of a dataset.

    prepared = prepare_frames("rawframes/Walk/clip_1", config, bound=20.0)
    prepared.flow["external"][0]  # the mosaic of the first snippet's flow

A folder per video, as TSN's dense_flow, denseflow and MMAction2 write it:
img_00001.jpg, flow_x_00001.jpg, flow_y_00001.jpg and so on. Flow is decoded by the
code and the bound of those programs, resized with its vectors, and coded as ours.
Only images that the result holds are read, one at a time.
"""

from collections.abc import Iterator, Sequence
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
from stfn_keras.video.encoders import Pairs, SnippetEncoder
from stfn_keras.video.extent import Extent
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.listing import Listing, list_images
from stfn_keras.video.prepare import (
    MAX_ENCODED_BYTES,
    PreparedVideo,
    snippet_positions,
)

CODE = "round(255 (f + b) / (2 b))"  # of flow images; f in pixels, b the bound

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
    select: Sequence[int] | None = None,
    *,
    field: str | None = flow.EXTERNAL,
    bound: float = flow.FLOW_BOUND,
    decoding: DecodingConfig = DEFAULT_DECODING,
    extent: Extent | None = None,
) -> PreparedVideo:
    """Turn a folder of extracted frames and flow into what `prepare_video` returns.

    Flow images are one fewer than frames, each from its frame to the next, or as many
    as frames, each from the frame before to its own, as TSN's program writes them
    (it does not write a video's first frame).

    Args:
        folder: Of one video; only read.
        config: How; `flow` is not used.
        select: Which of the K snippets to make, as for `prepare_video`; None for all.
        field: The flow: `external`, read from the flow images; a preset, computed
            from the frames, with `select`; None for none. Flow images are passed over
            unless they are read.
        bound: The motion b, in pixels per frame at the flow images' own size, at
            which their code round(255 (f + b) / (2 b)) ends.
        decoding: Limits. Damage always refuses the video.
        extent: What to make of each snippet, as for `prepare_video`.

    Returns:
        The snippets or, with the dense layout, every frame and pair. The flow field
        is named as asked for; the rate is unknown, 0.0.

    Raises:
        VideoError: The video cannot be used. `damaged`: numbers are missing or
            double, u, v and frames do not go together, sizes differ, or an image
            cannot be decoded.
        UserError: The bound is not above 0, a snippet has more pairs than an image
            can hold at the configured size, or the preset cannot be computed.
    """
    if not 0.0 < bound < float("inf"):
        raise UserError(
            f"the bound of extracted flow must be above 0 pixels, 20 for TSN's. "
            f"Received: {bound}"
        )
    extent = extent or Extent.stored(config)
    if field is None:
        extent = Extent(extent.frames)
    if extent.pairs:
        image.check_pairs(config.size, extent.pairs)
    listing = list_images(Path(folder), decoding, field == flow.EXTERNAL)
    with flow.single_thread(), refused_memory(listing.declared):
        reader = _Reader(listing, config, extent, bound, decoding)
        if field == flow.EXTERNAL:
            return reader.prepare(select)
        return reader.computed(select or range(config.snippets), field)


class _Reader:
    """Reads the images that are needed, in order, and encodes them."""

    def __init__(
        self,
        listing: Listing,
        config: PreparationConfig,
        extent: Extent,
        bound: float,
        decoding: DecodingConfig,
    ) -> None:
        self.config = config
        self.extent = extent
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

    def prepare(self, select: Sequence[int] | None = None) -> PreparedVideo:
        """Read frames and flow images."""
        frames = len(self.images)
        dense = self.config.layout == "dense" and select is None
        positions = self.placed(1 if dense else self.extent.pairs, select)
        if dense:
            rgb = [self.rgb(index) for index in range(frames)]
            mosaics = list(self.mosaics([(pair,) for pair in range(frames - 1)]))
        else:
            snippets = [self.extent.snippet(start, frames) for start in positions]
            wanted = sorted({index for s in snippets for index in s.frames})
            found = {index: self.rgb(index) for index in wanted}
            rgb = [found[index] for s in snippets for index in s.frames]
            order = sorted({s.pairs for s in snippets})
            made = dict(zip(order, self.mosaics(order), strict=True))
            mosaics = [made[s.pairs] for s in snippets]
        return self.result(positions, rgb, {flow.EXTERNAL: mosaics})

    def computed(self, select: Sequence[int], field: str | None) -> PreparedVideo:
        """Read frames alone, and compute the flow between them if there is a field."""
        presets = () if field is None else (field,)
        for preset in presets:
            flow.get_preset(preset)
        positions = self.placed(max(self.extent.pairs, 1), select)
        frames = len(self.images)
        snippets = [self.extent.snippet(start, frames) for start in positions]
        encoder = SnippetEncoder(presets, snippets)
        for index in sorted(encoder.frames):
            frame = self.image(self.images[index], "frame")
            encoder.add(index, decode.resize(frame, self.size))
            self.check_bytes(encoder.bytes)
        return self.result(positions, *encoder.result())

    def placed(self, pairs: int, select: Sequence[int] | None) -> list[int]:
        """Set the stored size, and tell the first frame of each snippet.

        Args:
            pairs: Of flow in a mosaic.
            select: As for `prepare_frames`.
        """
        frames = len(self.images)
        try:
            positions = snippet_positions(frames, self.config)
        except ValueError:
            raise VideoError("too short", self.declared, frames) from None
        height, width = self.image(self.images[0], "frame").shape[:2]
        info = decode.VideoInfo(self.declared, frames, 0.0, height, width)
        self.size = decode.stored_size(info, self.config.size)
        if min(self.size) < flow.MINIMUM_SIDE:
            raise VideoError("too small", self.declared, frames)
        if not image.fits(*self.size, pairs):
            raise VideoError("too large", self.declared, frames)
        if select is not None:
            positions = [positions[index] for index in select]
        return self.extent.starts(positions, frames, self.config)

    def result(
        self, positions: list[int], rgb: list[bytes], mosaics: dict[str, list[bytes]]
    ) -> PreparedVideo:
        # Snippets that repeat or overlap are stored again.
        self.check_bytes(sum(map(len, chain(rgb, *mosaics.values()))))
        return PreparedVideo(
            frames_declared=self.declared,
            frames=len(self.images),
            rate=0.0,
            height=self.size[0],
            width=self.size[1],
            positions=positions,
            rgb=rgb,
            flow=mosaics,
        )

    def rgb(self, index: int) -> bytes:
        """A frame at the stored size, as a JPEG."""
        frame = decode.resize(self.image(self.images[index], "frame"), self.size)
        return self.kept(image.encode_rgb(frame))

    def mosaics(self, snippets: list[Pairs]) -> Iterator[bytes]:
        """The mosaic of each snippet's pairs; their starts increase."""
        codes: dict[int, np.ndarray] = {}
        for pairs in snippets:
            for past in [pair for pair in codes if pair < pairs[0]]:
                del codes[past]
            for pair in pairs:
                if pair not in codes:
                    codes[pair] = self.code(pair)
            yield self.kept(image.encode_flow(np.stack([codes[p] for p in pairs])))

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
