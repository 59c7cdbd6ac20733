"""A video with its predictions written over its frames.

draw_video(Path("clip.avi"), [prediction], Path("clip-labels.mp4"))
"""

from collections.abc import Iterable
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.serving.overlay import Overlay
from stfn_keras.serving.preparer import unusable
from stfn_keras.video import decode
from stfn_keras.video.container import VideoError
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.writer import VideoWriter

LINES = 3  # best classes over a frame

Labels = tuple[float, float, list[tuple[str, float]]]  # start, end in seconds, best


def draw_video(
    video: Path,
    labels: Iterable[Labels],
    out: Path,
    decoding: DecodingConfig = DEFAULT_DECODING,
) -> None:
    """Write a video file with the best classes over each frame, without its sound.

    Args:
        video: The file.
        labels: What to write from when to when, by start. Where windows overlap, the
            one that starts last is shown.
        out: The file to write, in the size of the video and with its times.
        decoding: Limits, and what becomes of damage.

    Raises:
        UserError: The video cannot be used, or is a folder of frames.
    """
    if video.is_dir():
        raise UserError(
            f"--draw needs a video file. Received: the folder of frames {video}"
        )
    try:
        info = decode.count(video, decoding)
        size = (info.height, info.width)
        frames = decode.read(video, size, range(info.frames), decoding)
        overlay = Overlay(info.height)
        coming = iter(labels)
        now: Labels | None = None
        following = next(coming, None)
        with VideoWriter(out, *size) as writer:
            for index, frame in frames:
                seconds = _time(info, index)
                while following and following[0] <= seconds:
                    now, following = following, next(coming, None)
                best = now[2] if now and seconds < now[1] else []
                writer.add(overlay.draw(frame, best[:LINES]), seconds)
    except VideoError as error:
        raise unusable(video, error, decoding) from error


def _time(info: decode.VideoInfo, index: int) -> float:
    """When a frame is shown, in seconds since the first; 25 a second if unknown."""
    if info.seconds is not None:
        return float(info.seconds[index])
    return index / (info.rate or 25.0)
