"""A long video cut into windows, each prepared as if it were a video of its own.

    for window in prepare_windows(path, config, select, length=4.0, stride=2.0):
        window.start, window.end, window.prepared  # seconds, encoded snippets

Two passes in order: the first counts the frames and their times, the second computes
each flow pair once, also where windows overlap, and forgets what is past. So memory
grows with a window, not with the video (but for the times of a varying frame rate,
8 bytes a frame).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.video import decode, flow, image
from stfn_keras.video.container import VideoError, refused_memory
from stfn_keras.video.decode import VideoInfo
from stfn_keras.video.encoders import SnippetEncoder
from stfn_keras.video.extent import Extent, Snippet
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import (
    MAX_ENCODED_BYTES,
    PreparedVideo,
    check_flow,
    snippet_positions,
)
from stfn_keras.video.segment import Segment
from stfn_keras.video.timing import interval, is_even


@dataclass(frozen=True)
class Window:
    """A part of a video.

    Attributes:
        start: In seconds since the video's first frame.
        end: Likewise; the frames with start <= time < end are the window's.
        prepared: Its snippets; positions count from the video's first frame.
    """

    start: float
    end: float
    prepared: PreparedVideo


@dataclass(frozen=True)
class _Plan:
    start: float
    end: float
    first: int
    frames: int
    positions: list[int]
    snippets: list[Snippet]


def prepare_windows(
    path: str | PathLike,
    config: PreparationConfig,
    select: Sequence[int],
    length: float,
    stride: float,
    *,
    decoding: DecodingConfig = DEFAULT_DECODING,
    extent: Extent | None = None,
) -> Iterator[Window]:
    """Prepare a video window by window, in order, while it is decoded.

    Windows start at 0, `stride`, 2 `stride` and so on, up to the first that reaches the
    video's end; it ends there too, and is left out if it is too short for a snippet.

    Args:
        path: A video file; only read.
        config: How.
        select: Which of a window's K snippets to make, as for `prepare_video`.
        length: Of a window, in seconds.
        stride: From a window's start to the next one's, in seconds.
        decoding: Limits, and what becomes of damage.
        extent: What to make of each snippet, as for `prepare_video`.

    Raises:
        UserError: Length or stride is not above 0, or a flow preset is not there.
        VideoError: The video cannot be used: as `prepare_video`; `damaged` too where
            neither time stamps nor a rate tell when frames are shown.
    """
    if not (0.0 < length < float("inf") and 0.0 < stride < float("inf")):
        raise UserError(
            "a window's length and stride must be above 0 seconds. Received: "
            f"{length:g} and {stride:g}"
        )
    extent = extent or Extent.stored(config)
    check_flow(config, extent)
    with flow.single_thread():
        info = decode.count(path, decoding)
        plans = _plans(info, config, extent, select, length, stride)
        with refused_memory(info.declared, info.frames):
            yield from _prepared(path, config, extent, plans, decoding, info)


def _plans(
    info: VideoInfo,
    config: PreparationConfig,
    extent: Extent,
    select: Sequence[int],
    length: float,
    stride: float,
) -> Iterator[_Plan]:
    """Yield each window's frames; VideoError if there is none."""
    seconds = info.seconds
    if seconds is None:
        if not info.rate:
            raise VideoError("damaged", info.declared, info.frames)
        seconds = np.arange(info.frames) / info.rate
    end = float(seconds[-1]) + (interval(seconds) or 1.0 / (info.rate or 1.0))
    number = found = 0
    while True:
        start = number * stride
        stop = min(start + length, end)
        first, frames = Segment(start, start + length).frames(seconds)
        times = seconds[first : first + frames]
        uneven = None if is_even(times) else times - times[0]
        try:
            positions = snippet_positions(frames, config, uneven)
        except ValueError:  # shorter than a snippet
            pass
        else:
            found += 1
            chosen = [positions[index] for index in select]
            starts = extent.starts(chosen, frames, config)
            snippets = [extent.snippet(start, frames, first) for start in starts]
            places = [first + start for start in starts]
            yield _Plan(start, stop, first, frames, places, snippets)
        if first + frames >= info.frames:
            break
        number += 1
    if not found:
        raise VideoError("too short", info.declared, info.frames)


def _prepared(
    path: str | PathLike,
    config: PreparationConfig,
    extent: Extent,
    plans: Iterator[_Plan],
    decoding: DecodingConfig,
    info: VideoInfo,
) -> Iterator[Window]:
    size = decode.stored_size(info, config.size)
    if min(size) < flow.MINIMUM_SIDE:
        raise VideoError("too small", info.declared, info.frames)
    too_large = VideoError("too large", info.declared, info.frames)
    if not image.fits(*size, max(extent.pairs, 1)):
        raise too_large
    encoder = SnippetEncoder(config.flow if extent.pairs else (), [])
    waiting: deque[_Plan] = deque()

    def plan_up_to(frame: int) -> None:
        """Plan every window that may need a frame that comes next."""
        while True:
            coming = min((f for f in encoder.frames if f > frame), default=frame)
            if waiting and waiting[-1].first > coming:
                return
            following = next(plans, None)
            if following is None:
                return
            encoder.want(following.snippets)
            waiting.append(following)

    plan_up_to(-1)
    frames = decode.read(
        path, size, encoder.frames, decoding, info.first, info.frames - 1
    )
    for index, frame in frames:
        encoder.add(index, frame)
        if encoder.bytes > MAX_ENCODED_BYTES:
            raise too_large
        while waiting and max(s.last for s in waiting[0].snippets) <= index:
            plan = waiting.popleft()
            rgb, mosaics = encoder.taken(plan.snippets)
            yield Window(
                plan.start,
                plan.end,
                PreparedVideo(
                    frames_declared=info.declared, frames=plan.frames, rate=info.rate,
                    height=size[0], width=size[1], positions=plan.positions, rgb=rgb,
                    flow=mosaics, errors=info.errors,
                ),
            )  # fmt: skip
        plan_up_to(index)
        if not waiting:
            return
        encoder.forget(min(plan.positions[0] for plan in waiting))
