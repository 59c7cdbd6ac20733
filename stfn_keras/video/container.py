"""Video files opened read-only, and what cannot be opened told apart.

    with opened("clip.avi", DecodingConfig()) as source:
        source.declared  # frames that the header promises

Python itself opens the file, so a name is never taken for an address or a pattern,
and FFmpeg may open nothing else: playlists and scripts that name other files or
hosts are unreadable containers.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from typing import BinaryIO

import av
import cv2
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from stfn_keras.video.limits import DecodingConfig

# FFmpeg waits for a playlist without an end to grow.
_PLAYLIST = b"#EXTM3U"
# FFmpeg plays text files as films of a terminal, by their suffix alone.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
# AVFMT_FLAG_GENPTS, which PyAV sets: it invents time stamps in files that have
# none, wrongly where frames are reordered, and may hold a file's packets for that.
_INVENT_STAMPS = 1
# Nor is there a file behind symbolic links in a circle, or a name beyond the limit.
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_MICROSECONDS = 1e-6  # the unit of a container's own duration


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
class Source:
    """An opened video.

    Attributes:
        container: The opened file.
        stream: Its first video stream.
        declared: Frames that the header declares, less those that an edit list
            hides; 0 if it declares none.
        seconds: Duration that the header declares or FFmpeg estimates; 0.0 if
            unknown.
        end: When the last frame ends, in seconds, as the header promises it of this
            stream alone; 0.0 if it does not, or promises a number of frames instead.
        rate: Frames per second by the header; 0.0 if unknown.
        unit: Seconds of a time stamp's unit.
    """

    container: InputContainer
    stream: VideoStream
    declared: int
    seconds: float
    end: float
    rate: float
    unit: Fraction


@contextmanager
def opened(
    path: str | PathLike, decoding: DecodingConfig, whole: bool = True
) -> Iterator[Source]:
    """Open a video for decoding, unless its header exceeds a limit.

    Args:
        path: A file, or a symbolic link to one.
        decoding: The limits.
        whole: Whether all of it will be decoded, so that the declared number of
            frames and the declared duration must keep to the limits.

    Raises:
        VideoError: missing, not a file, empty, unreadable container (files that
            may not be read are too), no video stream, or too large.
    """
    with _file(path) as file, refused_memory():
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise VideoError("empty")
        if size > decoding.max_bytes:
            raise VideoError("too large")
        if file.read(len(_PLAYLIST)) == _PLAYLIST:
            raise VideoError("unreadable container")
        file.seek(0)
        with _container(file) as container:
            source = _source(container)
            if _exceeds(source, decoding, whole):
                raise VideoError("too large", source.declared)
            yield source


@contextmanager
def refused_memory(declared: int = 0, decoded: int = 0) -> Iterator[None]:
    """Turn what Python, FFmpeg and OpenCV raise without memory into `too large`."""
    try:
        yield
    except MemoryError as error:
        raise VideoError("too large", declared, decoded) from error
    except cv2.error as error:
        if getattr(error, "code", None) != cv2.Error.StsNoMem:
            raise
        raise VideoError("too large", declared, decoded) from error


def _file(path: str | PathLike) -> BinaryIO:
    """Open a regular file; never wait for a writer of a FIFO, nor touch a device."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise VideoError("not a file")
        return open(path, "rb", opener=_unblocked)
    except ValueError:  # a name with a null character, which no file has
        raise VideoError("missing") from None
    except OSError as error:
        reason = "missing" if error.errno in _NOTHING_THERE else "unreadable container"
        raise VideoError(reason) from error


def _unblocked(path: str, flags: int) -> int:
    """Open without waiting, should a FIFO have taken the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _container(file: BinaryIO) -> Iterator[InputContainer]:
    try:
        container = av.open(
            file,
            "r",
            # Tags in an unknown encoding are no reason to refuse a video.
            metadata_errors="replace",
            # No such protocol: playlists may not open what they name.
            container_options={"protocol_whitelist": "none"},
        )
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError("unreadable container") from error
    with container:
        if container.format.name in _TEXT_FORMATS:
            raise VideoError("unreadable container")
        container.flags &= ~_INVENT_STAMPS
        yield container


def _source(container: InputContainer) -> Source:
    streams = [
        stream
        for stream in container.streams.video
        # A cover picture of a sound file is no video.
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams or streams[0].codec_context is None:
        raise VideoError("no video stream")
    stream = streams[0]
    # One thread: preparation runs as many processes as there are cores.
    stream.codec_context.thread_count = 1
    unit = stream.time_base or Fraction(1)
    seconds = 0.0
    if stream.duration:
        seconds = float(stream.duration * unit)
    elif container.duration:
        seconds = container.duration * _MICROSECONDS
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    seconds = max(seconds, 0.0)
    declared = _visible_frames(container, stream)
    if declared < stream.frames:
        # The number is FFmpeg's reading of an edit list and a table of frames; the
        # edit list's own duration tells whether the table was whole.
        end = float((stream.start_time or 0) * unit) + seconds
    else:
        end = _promised_end(container, stream)
    return Source(container, stream, declared, seconds, end, rate, unit)


def _visible_frames(container: InputContainer, stream: VideoStream) -> int:
    """The declared number of frames, less those that an edit list hides.

    Trimming an MP4 file without encoding it again keeps the frames from the key frame
    before on. The header counts them; FFmpeg decodes and drops them.
    """
    if not stream.frames or "mp4" not in container.format.name.split(","):
        return stream.frames
    index = getattr(stream, "index_entries", None)
    if index is None:  # an older PyAV; exact at a constant rate
        rate = (stream.average_rate or 0) * (stream.time_base or 0)
        shown = round((stream.duration or 0) * rate)
    else:
        shown = sum(not entry.is_discard for entry in index)
    return min(shown, stream.frames) or stream.frames


def _promised_end(container: InputContainer, stream: VideoStream) -> float:
    """When the video ends by a Matroska header, which declares no frames.

    Its duration is that of the longest stream, and sound may outlast the pictures;
    many writers add a tag with each stream's own.
    """
    if not container.format.name.startswith("matroska"):
        return 0.0
    if len(container.streams) == 1:
        return (container.duration or 0) * _MICROSECONDS
    try:
        hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
    except (KeyError, ValueError):
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _exceeds(source: Source, decoding: DecodingConfig, whole: bool) -> bool:
    codec = source.stream.codec_context
    if codec.width * codec.height > decoding.max_pixels:
        return True
    return whole and (
        source.declared > decoding.max_frames or source.seconds > decoding.max_seconds
    )
