"""Videos decoded in order with PyAV, so that nothing is lost without a word.

    info = count("clip.avi")  # decodes every frame, converts none
    for index, frame in read("clip.avi", stored_size(info, "256"), wanted={0, 9}):
        ...  # uint8 RGB (height, width, 3)

Files are opened read-only by Python itself, so a name is never taken for an
address or a pattern, and no other file or host is touched.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

# A header that promises this much more than there is means a file was cut.
# Real encoders are off by a few frames (116 of 120 in a sound UCF101 clip).
DECLARED_FRACTION = 0.9


class VideoError(Exception):
    """A video that cannot be used.

    Attributes:
        reason: The word that the ledger gives for it.
        declared: Frames that the container's header declares; 0 if unknown.
        decoded: Frames decoded before the fault.
    """

    def __init__(self, reason: str, declared: int = 0, decoded: int = 0) -> None:
        super().__init__(f"{reason} ({declared} frames declared, {decoded} decoded)")
        self.reason = reason
        self.declared = declared
        self.decoded = decoded

    def __reduce__(self) -> tuple:
        return VideoError, (self.reason, self.declared, self.decoded)


@dataclass(frozen=True)
class VideoInfo:
    """What a full decoding pass finds.

    Attributes:
        declared: Frames that the header declares; 0 if it declares none.
        frames: Frames decoded.
        rate: Mean frames per second; 0.0 if unknown.
        height: In pixels, after rotation.
        width: In pixels, after rotation.
    """

    declared: int
    frames: int
    rate: float
    height: int
    width: int


def count(path: str | PathLike) -> VideoInfo:
    """Decode a whole video without converting a frame.

    Raises:
        VideoError: missing, empty, unreadable container, no video stream, no
            frames, damaged, or size change.
    """
    frames, height, width = 0, 0, 0
    with _opened(path) as (container, stream):
        declared = stream.frames
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        for frame in _frames(container, stream):
            if not frames:
                height, width = _upright_size(frame)
            frames += 1
    if not frames:
        raise VideoError("no frames", declared, 0)
    if frames < declared * DECLARED_FRACTION:
        raise VideoError("damaged", declared, frames)
    return VideoInfo(declared, frames, rate, height, width)


def read(
    path: str | PathLike, size: tuple[int, int], wanted: Collection[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode in order and yield the wanted frames, upright and resized.

    Decoding stops after the last wanted frame.

    Args:
        path: A video file.
        size: Height and width to resize to, in pixels.
        wanted: Indices of frames, from 0.

    Yields:
        Index and uint8 RGB (height, width, 3), 0-255, in increasing order.

    Raises:
        VideoError: As `count`; `damaged` too where the video ends too early.
    """
    last = max(wanted)
    reformatter = VideoReformatter()
    with _opened(path) as (container, stream):
        index = -1
        for index, frame in enumerate(_frames(container, stream)):
            if index in wanted:
                image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                image = np.rot90(image, _quarter_turns(frame))
                yield index, resize(np.ascontiguousarray(image), size)
            if index == last:
                return
        raise VideoError("damaged", stream.frames, index + 1)


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


@contextmanager
def _opened(path: str | PathLike) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        file = open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError("missing") from None
    except OSError as error:
        raise VideoError("unreadable container") from error
    with file:
        if not file.read(1):
            raise VideoError("empty")
        file.seek(0)
        try:
            # Tags in an unknown encoding are no reason to refuse a video.
            container = av.open(file, "r", metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError("unreadable container") from error
        with container:
            streams = [
                stream
                for stream in container.streams.video
                # A cover picture of a sound file is no video.
                if not stream.disposition & Disposition.attached_pic
            ]
            if not streams:
                raise VideoError("no video stream")
            # One thread: preparation runs as many processes as there are cores.
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield every frame; raise VideoError at the first sign of damage."""
    declared, decoded, first = stream.frames, 0, None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError("damaged", declared, decoded) from error
        if packet.is_corrupt:
            raise VideoError("damaged", declared, decoded)
        for frame in frames:
            if frame.is_corrupt:
                raise VideoError("damaged", declared, decoded)
            first = first or _upright_size(frame)
            if _upright_size(frame) != first:
                raise VideoError("size change", declared, decoded)
            decoded += 1
            yield frame


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that put a frame upright."""
    return round(frame.rotation / 90) % 4


def _upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    size = frame.height, frame.width
    return size[::-1] if _quarter_turns(frame) % 2 else size
