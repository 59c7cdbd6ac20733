"""From a video file to the encoded snippets that datasets and prediction share.

    prepared = prepare_video("clip.avi", PreparationConfig(flow=("dis",)))
    prepared.rgb[0]  # the JPEG of the first snippet's frame
    prepared.flow["dis"][0]  # the mosaic of its flow

Two passes in order, and bounded memory: the first counts the frames, the second
decodes up to the last frame needed and computes each needed pair once. What is kept
is the encoded result, of MAX_ENCODED_BYTES at most: snippets, or with the dense
layout every frame and pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from os import PathLike

import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.video import decode, flow, image
from stfn_keras.video.container import VideoError, refused_memory
from stfn_keras.video.decode import VideoInfo
from stfn_keras.video.encoders import DenseEncoder, Encoder, SnippetEncoder
from stfn_keras.video.extent import Extent
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig

__all__ = ["PreparedVideo", "VideoError", "prepare_video", "snippet_positions"]

# Making a record of it takes up to 6.5 times as much for a moment, which must fit into
# the 4 GB that a decoding process may use by default.
MAX_ENCODED_BYTES = 500_000_000


@dataclass(frozen=True)
class PreparedVideo:
    """A video's encoded snippets, or all of its frames and flow.

    Attributes:
        frames_declared: What the container's header declares for the whole file,
            but for frames that an edit list hides; 0 if nothing.
        frames: Frames decoded, of the segment if there is one.
        rate: Mean frames per second.
        height: Of the stored frames and flow, in pixels.
        width: Likewise.
        positions: The first frame of each snippet, whatever the layout.
        rgb: Snippet layout: as many JPEGs for each snippet as its extent has frames,
            snippet by snippet. Dense layout: a JPEG for each frame.
        flow: By preset, grayscale mosaics. Snippet layout: one for each snippet.
            Dense layout: one of a single pair for each pair of frames, so one less
            than frames.
        errors: Decoding errors survived, with on_damaged=keep.
    """

    frames_declared: int
    frames: int
    rate: float
    height: int
    width: int
    positions: list[int]
    rgb: list[bytes]
    flow: dict[str, list[bytes]]
    errors: int = 0


def snippet_positions(
    frames: int, config: PreparationConfig, seconds: np.ndarray | None = None
) -> list[int]:
    """First frames of K evenly spread snippets: floor((k + 0.5) (N - reach + 1) / K).

    They repeat where a video has fewer than K places for a snippet. Where the frame
    rate varies they are spread evenly over time: the frame that is shown when the
    part (k + 0.5) / K of the time of all places has passed, which is the same frame
    at a constant rate.

    Args:
        frames: The number N.
        config: Of the snippets.
        seconds: When each frame is shown, float64 (frames,), increasing; None if
            they follow each other evenly.

    Raises:
        ValueError: The video is shorter than a snippet.
    """
    reach = Extent.stored(config).reach
    places = frames - reach + 1
    if places < 1:
        raise ValueError(f"a snippet has {reach} frames. Received: {frames}")
    count = config.snippets
    if seconds is None:
        return [(2 * k + 1) * places // (2 * count) for k in range(count)]
    # A place lasts until the next frame, and a snippet reaches over two or more: the
    # last place has a next frame.
    lasting = seconds[places] - seconds[0]
    wished = seconds[0] + (2 * np.arange(count) + 1) * lasting / (2 * count)
    found = np.searchsorted(seconds[:places], wished, side="right") - 1
    return [int(index) for index in found]


def prepare_video(
    path: str | PathLike,
    config: PreparationConfig,
    select: Sequence[int] | None = None,
    *,
    decoding: DecodingConfig = DEFAULT_DECODING,
    segment: tuple[float, float] | None = None,
    extent: Extent | None = None,
) -> PreparedVideo:
    """Decode a video, resize it, compute its flow and encode its snippets.

    Args:
        path: A video file; only read.
        config: How.
        select: Which of the K snippets to make, as indices; None for all. The
            lists of the result then hold these snippets, in this order, each with
            the same bytes as in a full run; this is the snippet layout, whatever
            the configured one.
        decoding: Limits, and what becomes of damage.
        segment: Start and end in seconds since the first frame; only the frames
            with start <= time < end are the video then. None for the whole file.
        extent: What to make of each snippet, with `select`: other frames and pairs
            than `config` says, or no pairs. It lies where all of it would lie, unless
            it reaches further. None for all that `config` says.

    Raises:
        VideoError: The video cannot be used; its `reason` is a word of the ledger.
        UserError: An unknown flow preset, OpenCV without contrib, or more pairs than
            an image can hold at the configured size.
        ValueError: The segment starts before 0 or does not end behind its start.
    """
    extent = extent or Extent.stored(config)
    check_flow(config, extent)
    with flow.single_thread():
        info = decode.count(path, decoding, segment)
        with refused_memory(info.declared, info.frames):
            return _prepare(path, config, select, decoding, info, extent)


def check_flow(config: PreparationConfig, extent: Extent) -> None:
    """Raise UserError where the flow of snippets cannot be computed or stored."""
    if extent.pairs:
        image.check_pairs(config.size, extent.pairs)
        for name in config.flow:
            flow.get_preset(name)


def _prepare(
    path: str | PathLike,
    config: PreparationConfig,
    select: Sequence[int] | None,
    decoding: DecodingConfig,
    info: VideoInfo,
    extent: Extent,
) -> PreparedVideo:
    if info.frames < Extent.stored(config).reach:
        reason = "damaged" if info.errors else "too short"
        raise VideoError(reason, info.declared, info.frames)
    size = decode.stored_size(info, config.size)
    if min(size) < flow.MINIMUM_SIDE:
        raise VideoError("too small", info.declared, info.frames)
    positions = snippet_positions(info.frames, config, info.seconds)
    too_large = VideoError("too large", info.declared, info.frames)
    dense = config.layout == "dense" and select is None
    if not image.fits(*size, 1 if dense else max(extent.pairs, 1)):
        raise too_large
    encoder: Encoder
    if dense:
        encoder = DenseEncoder(config, info.frames)
    else:
        if select is not None:
            positions = [positions[index] for index in select]
        positions = extent.starts(positions, info.frames, config)
        encoder = SnippetEncoder(
            config.flow if extent.pairs else (),
            [extent.snippet(start, info.frames) for start in positions],
        )
    for index, frame in decode.read(path, size, encoder.frames, decoding, info.first):
        encoder.add(index, frame)
        if encoder.bytes > MAX_ENCODED_BYTES:
            raise too_large
    rgb, mosaics = encoder.result()
    # Snippets that repeat or overlap are stored again.
    if sum(map(len, chain(rgb, *mosaics.values()))) > MAX_ENCODED_BYTES:
        raise too_large
    return PreparedVideo(
        frames_declared=info.declared,
        frames=info.frames,
        rate=info.rate,
        height=size[0],
        width=size[1],
        positions=positions,
        rgb=rgb,
        flow=mosaics,
        errors=info.errors,
    )
