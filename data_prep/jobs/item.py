"""One video in, one record out: what the decoding process does.

record, info = prepare_item({"path": "clips/Walk/a.avi", "id": "Walk/a.avi", ...})
"""

import errno
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from stfn_keras.config import PreparationConfig
from stfn_keras.data.records import encode_example
from stfn_keras.errors import UserError
from stfn_keras.video.container import VideoError
from stfn_keras.video.frames import prepare_frames
from stfn_keras.video.limits import DecodingConfig
from stfn_keras.video.prepare import PreparedVideo, prepare_video

Item = dict[str, Any]

# Errors of the system that say nothing of the file.
_MACHINE = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EMFILE,
    errno.ENFILE,
    errno.ETIMEDOUT,
    errno.ENODEV,
    errno.ENXIO,
}


def prepare_item(item: Item) -> tuple[bytes, dict[str, Any]]:
    """Decode a video, compute its flow, and encode its record.

    Args:
        item: JSON throughout: `path`, `id`, `label` (an index), `label_text`, `group`,
            `roles`, `segment` ([start, end] in seconds or None), `bytes` (0 if it was
            not there when the run began), `config` (`PreparationConfig`), `decoding`
            (`DecodingConfig`), `frames_bound` (of
            extracted flow in pixels; 0 where the path is a video) and, for an
            estimate, `select` (snippets to make).

    Returns:
        A `tf.train.Example` of schema 1, and what the index says of the video:
        `frames`, `rate`, `height`, `width`, `errors`; `pairs`, how many flow pairs the
        record holds, each once; and the mean sizes `rgb_bytes` and `flow_bytes` (of
        all fields together) of its images.

    Raises:
        VideoError: The video cannot be used.
        UserError: The settings cannot be used, or the machine is at fault: what was
            there is gone, or its disk fails.
    """
    try:
        return _prepared(item)
    except VideoError as error:
        gone = error.reason == "missing" and item.get("bytes")
        cause = error.__cause__
        # FFmpeg gives some damage the number of a disk's failure; it is no such thing.
        failing = (
            isinstance(cause, OSError)
            and not isinstance(cause, FFmpegError)
            and cause.errno in _MACHINE
        )
        if gone or failing:
            what = "it was there when the run began" if gone else str(cause)
            raise UserError(
                f"{item['path']} must be readable. Received: {what}; see to its disk"
            ) from error
        raise


def _prepared(item: Item) -> tuple[bytes, dict[str, Any]]:
    config = PreparationConfig(
        **{**item["config"], "flow": tuple(item["config"]["flow"])}
    )
    decoding = DecodingConfig(**item["decoding"])
    path = Path(item["path"])
    if item["frames_bound"]:
        bound = item["frames_bound"]
        prepared = prepare_frames(path, config, bound=bound, decoding=decoding)
    else:
        segment = tuple(item["segment"]) if item["segment"] else None
        select = item.get("select")
        prepared = prepare_video(
            path, config, select, decoding=decoding, segment=segment
        )
    info = {
        "frames": prepared.frames,
        "rate": prepared.rate,
        "height": prepared.height,
        "width": prepared.width,
        "errors": prepared.errors,
        "pairs": _pairs(prepared, config),
        # What an estimate is made from.
        "rgb_bytes": _mean_size(prepared.rgb),
        "flow_bytes": sum(map(_mean_size, prepared.flow.values())),
    }
    return _example(item, config, prepared), info


def _example(item: Item, config: PreparationConfig, prepared: PreparedVideo) -> bytes:
    dense = config.layout == "dense"
    rgb, flow = ("frame/rgb", "frame/flow/") if dense else ("snippet/rgb", "flow/")
    features = {
        "video/id": item["id"],
        "video/label": item["label"],
        "video/label_text": item["label_text"],
        "video/group": item["group"],
        "video/roles": item["roles"],
        "video/frames": prepared.frames,
        "video/rate": prepared.rate,
        "video/height": prepared.height,
        "video/width": prepared.width,
        "snippet/frame": prepared.positions,
        rgb: prepared.rgb,
    }
    fields = {flow + name: images for name, images in prepared.flow.items()}
    return encode_example({**features, **fields})


def _mean_size(images: list[bytes]) -> float:
    return sum(map(len, images)) / len(images)


def _pairs(prepared: PreparedVideo, config: PreparationConfig) -> int:
    """Flow pairs of the record, each once; overlapping snippets share theirs."""
    if config.layout == "dense":
        return len(prepared.flow) * (prepared.frames - 1)
    pairs = {p + offset for p in prepared.positions for offset in range(config.pairs)}
    return len(prepared.flow) * len(pairs)
