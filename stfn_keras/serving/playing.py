"""Frames as they come, of a file or a camera, in one pass and without an end known.

for seconds, frame in play(Path("clip.avi")):
...  # since the first frame; uint8 RGB (height, width, 3), upright
record(0, seconds=5.0, path=Path("five.mkv"))  # every bit that the camera gave
"""

import contextlib
import time
from collections.abc import Generator
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from stfn_keras.errors import UserError
from stfn_keras.serving.preparer import unusable
from stfn_keras.video.container import VideoError, opened
from stfn_keras.video.decode import upright
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.packets import Frames
from stfn_keras.video.timing import Clock
from stfn_keras.video.writer import VideoWriter

Timed = tuple[float, np.ndarray]  # seconds since the first frame, uint8 RGB

_UNKNOWN_RATE = 25.0  # frames per second where a file tells none


def play(
    path: str | PathLike, decoding: DecodingConfig = DEFAULT_DECODING
) -> Generator[Timed, None, None]:
    """Decode a video file once, from its first frame to its last.

    Raises:
        UserError: The video cannot be used, or is damaged where decoding has come to.
    """
    reformatter = VideoReformatter()
    try:
        with opened(path, decoding, whole=False) as source:
            clock = Clock(source.rate or _UNKNOWN_RATE, source.unit)
            frames = Frames(source, decoding)
            for frame in frames:
                seconds = clock.tick(frame.pts)
                if seconds is not None and seconds > decoding.max_seconds:
                    raise VideoError("too large", source.declared, frames.decoded)
                yield seconds or 0.0, upright(frame, reformatter)
            if not frames.decoded:
                raise VideoError("no frames", source.declared)
    except VideoError as error:
        raise unusable(Path(path), error, decoding) from error


def watch(number: int) -> Generator[Timed, None, None]:
    """Give a camera's frames, each at the time at which it came.

    Args:
        number: Of the camera, from 0.

    Raises:
        UserError: There is no such camera, or it stopped giving frames.
    """
    # What OpenCV would print of a camera that is not there, the error below says.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    camera = cv2.VideoCapture(number)
    with contextlib.closing(_Released(camera)):
        if not camera.isOpened():
            raise UserError(
                f"expected a camera that is connected and may be read. Received: "
                f"camera:{number}, which cannot be opened"
            )
        begun = None
        while True:
            given, frame = camera.read()
            if not given:
                raise UserError(f"camera:{number} gives no more frames")
            now = time.monotonic()
            begun = now if begun is None else begun
            yield now - begun, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def record(number: int, seconds: float, path: Path) -> None:
    """Write what a camera sees to a Matroska file, without loss.

    Args:
        number: Of the camera, from 0.
        seconds: How long.
        path: The file, ending in .mkv.

    Raises:
        UserError: The camera cannot be read.
    """
    with contextlib.closing(watch(number)) as frames, contextlib.ExitStack() as stack:
        writer = None
        for when, frame in frames:
            if writer is None:
                height, width = frame.shape[:2]
                writer = VideoWriter(path, height, width, lossless=True)
                stack.enter_context(writer)
            writer.add(frame, when)
            if when >= seconds:
                return


class _Released:
    """Lets a camera go at the end of a block."""

    def __init__(self, camera: cv2.VideoCapture) -> None:
        self.close = camera.release
