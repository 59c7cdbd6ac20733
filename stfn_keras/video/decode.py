"""Videos decoded in order with PyAV, so that nothing is lost without a word.

    info = count("clip.avi")  # decodes every frame, converts none
    for index, frame in read("clip.avi", stored_size(info, "256"), wanted={0, 9}):
        ...  # uint8 RGB (height, width, 3)

A segment of a video, from one second to another, is counted and read as if it were
a video of its own; decoding starts at the first frame and stops behind the segment.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from os import PathLike

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from stfn_keras.video.container import Source, VideoError, opened
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.packets import Frames, quarter_turns, upright_size
from stfn_keras.video.segment import Segment
from stfn_keras.video.timing import Clock, interval, is_even, mean_rate

__all__ = ["VideoError", "VideoInfo", "count", "read", "resize", "stored_size"]

# A header that promises this much more than there is means a file was cut.
# Real encoders are off by a few frames (116 of 120 in a sound UCF101 clip).
DECLARED_FRACTION = 0.9


@dataclass(frozen=True)
class VideoInfo:
    """What a full decoding pass finds in a video, or in a segment of one.

    Attributes:
        declared: Frames that the header declares for the whole file, but for those
            that an edit list hides; 0 if none.
        frames: Frames decoded (of the segment).
        rate: Mean frames per second, by time stamps where there are; 0.0 if
            unknown.
        height: In pixels, after rotation.
        width: In pixels, after rotation.
        first: Index in the file of the (segment's) first frame.
        errors: Decoding errors survived, with on_damaged=keep.
        seconds: Of each frame since the first, float64 (frames,), where the frame
            rate varies; None where it is constant or unknown.
    """

    declared: int
    frames: int
    rate: float
    height: int
    width: int
    first: int = 0
    errors: int = 0
    seconds: np.ndarray | None = field(default=None, compare=False, repr=False)


def count(
    path: str | PathLike,
    decoding: DecodingConfig = DEFAULT_DECODING,
    segment: tuple[float, float] | None = None,
) -> VideoInfo:
    """Decode a whole video, or up to a segment's end, without converting a frame.

    Args:
        path: A video file.
        decoding: Limits, and what becomes of damage.
        segment: Start and end in seconds since the first frame; the frames with
            start <= time < end are counted. None for the whole video.

    Raises:
        VideoError: missing, not a file, empty, unreadable container, no video
            stream, no frames, damaged, size change, or too large.
        ValueError: The segment starts before 0 or does not end behind its start.
    """
    part = Segment(*segment) if segment else None
    with opened(path, decoding, whole=part is None) as source:
        if part and part.end > decoding.max_seconds:
            raise VideoError("too large", source.declared)
        frames, size = Frames(source, decoding), (0, 0)
        clock = Clock(source.rate, source.unit)
        for frame in frames:
            size = upright_size(frame)
            now = clock.tick(frame.pts)
            if now is not None and part and now >= part.end:
                break
            if now is not None and now > decoding.max_seconds:
                raise VideoError("too large", source.declared, frames.decoded)
    seconds = clock.seconds()
    first, found = 0, frames.decoded
    if part and seconds is not None:
        first, found = part.frames(seconds)
    elif part:  # neither time stamps nor a rate tell where it lies
        raise VideoError("damaged", source.declared, found)
    if not found:
        raise VideoError("damaged" if frames.errors else "no frames", source.declared)
    if _is_lost(source, decoding, part, clock, found, frames.errors):
        raise VideoError("damaged", source.declared, found)
    rate = source.rate
    if seconds is not None:
        seconds = seconds[first : first + found]
        rate = mean_rate(seconds, source.rate)
        seconds = None if is_even(seconds) else seconds - seconds[0]
    return VideoInfo(
        declared=source.declared,
        frames=found,
        rate=rate,
        height=size[0],
        width=size[1],
        first=first,
        errors=frames.errors,
        seconds=seconds,
    )


def read(
    path: str | PathLike,
    size: tuple[int, int],
    wanted: Collection[int],
    decoding: DecodingConfig = DEFAULT_DECODING,
    first: int = 0,
    last: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode in order and yield the wanted frames, upright and resized.

    Decoding stops after the last wanted frame.

    Args:
        path: A video file.
        size: Height and width to resize to, in pixels.
        wanted: Indices of frames, from 0; later ones may come in while frames pass,
            if `last` is given.
        decoding: As for `count`, so that both see the same frames.
        first: Index in the file of the frame that is number 0 here.
        last: Index of the last wanted frame; None for the greatest of `wanted`.

    Yields:
        Index and uint8 RGB (height, width, 3), 0-255, in increasing order.

    Raises:
        VideoError: As `count`; `damaged` too where the video ends too early.
    """
    last = max(wanted) if last is None else last
    reformatter = VideoReformatter()
    with opened(path, decoding, whole=False) as source:
        frames = Frames(source, decoding)
        for index, frame in enumerate(frames, -first):
            if index in wanted:
                yield index, resize(upright(frame, reformatter), size)
            if index == last:
                return
        raise VideoError("damaged", source.declared, frames.decoded)


def upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Convert a frame to uint8 RGB (height, width, 3), rotated as its file says."""
    image = reformatter.reformat(frame, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(image, quarter_turns(frame)))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (height, width), averaging areas where it shrinks."""
    height, width = image.shape[:2]
    if (height, width) == tuple(size):
        return image
    shrinks = size[0] <= height and size[1] <= width
    # Area interpolation repeats pixels where it enlarges.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)


def stored_size(info: VideoInfo, size: str) -> tuple[int, int]:
    """The height and width that frames are stored at.

    Args:
        info: Of the video.
        size: A short side at most, such as `256` (never enlarged), or exactly
            `WIDTHxHEIGHT`.
    """
    if "x" in size:
        width, height = map(int, size.split("x"))
        return height, width
    short = min(info.height, info.width)
    target = min(int(size), short)

    def scaled(side: int) -> int:
        return (2 * side * target + short) // (2 * short)

    return scaled(info.height), scaled(info.width)


def _is_lost(
    source: Source,
    decoding: DecodingConfig,
    part: Segment | None,
    clock: Clock,
    found: int,
    errors: int,
) -> bool:
    """Whether less was decoded than is promised, or than a segment asks for."""
    keeps = decoding.on_damaged == "keep"
    least = decoding.min_fraction if keeps else DECLARED_FRACTION
    seconds, there = clock.seconds(), 1.0
    if part and seconds is not None:
        there = part.there(seconds)
    elif source.end and seconds is not None and is_even(seconds):
        # At a varying rate the last frame may be shown for long.
        there = (clock.first + float(seconds[-1]) + interval(seconds)) / source.end
    promised = float(0 if part else source.declared)
    if errors and not promised:
        # An estimate, and wrong where the rate varies: it only tells how much is
        # left of a video known to be damaged.
        promised = source.rate * (part.end - part.start if part else source.seconds)
    return there < least or found < promised * least
