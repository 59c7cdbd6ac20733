"""Write frames and their times as a video file, whole or not at all.

with VideoWriter(Path("out.mp4"), height=240, width=320) as video:
    video.add(frame, seconds=0.04)  # uint8 RGB (240, 320, 3)
"""

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from stfn_keras.errors import UserError
from stfn_keras.files import written_aside

_UNIT = Fraction(1, 60_000)  # of a time stamp: whole for every usual frame rate
_SUFFIXES = (".mp4", ".mkv", ".mov")


def check_suffix(path: Path, flag: str) -> None:
    """Raise UserError unless a file can be written as its suffix says."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(
            f"{flag} must be a video file ending in {', '.join(_SUFFIXES)}. "
            f"Received: {path}"
        )


class VideoWriter:
    """A video without sound: H.264 where FFmpeg has x264, MPEG-4 otherwise.

    Args:
        path: Written when the block ends without an error.
        height: Of the frames in pixels; an odd row or column at the edge is cut.
        width: Likewise.
        lossless: Write FFV1, which keeps every bit, for a file that is read again.

    Attributes:
        frames: Written so far.
    """

    def __init__(
        self, path: Path, height: int, width: int, lossless: bool = False
    ) -> None:
        self._path = path
        self._size = (
            (height, width) if lossless else (height - height % 2, width - width % 2)
        )
        self._lossless = lossless
        self._stack = contextlib.ExitStack()
        self._stamp = -1
        self.frames = 0

    def __enter__(self) -> "VideoWriter":
        with contextlib.ExitStack() as stack:
            aside = stack.enter_context(written_aside(self._path))
            # Python itself opens the file: a name is never taken for an address.
            file = stack.enter_context(aside.open("wb"))
            suffix = self._path.suffix.lower()
            form = "matroska" if suffix == ".mkv" else suffix.removeprefix(".")
            container = stack.enter_context(av.open(file, "w", format=form))
            stream = container.add_stream(self._codec(), options=self._options())
            self._stream = cast(VideoStream, stream)
            self._stream.height, self._stream.width = self._size
            self._stream.pix_fmt = "bgr0" if self._lossless else "yuv420p"
            self._stream.codec_context.time_base = _UNIT
            self._container = container
            stack.push(self._flush)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, frame: np.ndarray, seconds: float) -> None:
        """Write the next frame.

        Args:
            frame: uint8 RGB (height, width, 3).
            seconds: When it is shown, since the video's start; later than the last.
        """
        height, width = self._size
        picture = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame[:height, :width]), format="rgb24"
        )
        before = self._stamp
        self._stamp = max(round(seconds / _UNIT), self._stamp + 1)
        picture.pts, picture.time_base = self._stamp, _UNIT
        picture.duration = self._stamp - before if before >= 0 else 0
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        self.frames += 1

    def _codec(self) -> str:
        if self._lossless:
            return "ffv1"
        return "libx264" if "libx264" in av.codecs_available else "mpeg4"

    def _options(self) -> dict[str, str]:
        if self._codec() == "libx264":
            return {"preset": "veryfast", "crf": "20"}
        return {} if self._lossless else {"qscale": "4"}

    def _flush(self, kind: type | None, *_: object) -> None:
        if kind is None and self.frames:
            for packet in self._stream.encode():
                self._container.mux(packet)
