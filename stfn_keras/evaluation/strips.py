"""A few videos out of the shards, and a few frames of each, side by side.

chosen = chosen_videos(source, folder, ["v_Archery_g01_c01.avi"])
strips = film_strips(source, folder, ["v_Archery_g01_c01.avi"])
strips["v_Archery_g01_c01.avi"]  # JPEG bytes
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stfn_keras.data.index import read_index
from stfn_keras.data.source import Source, parse, take
from stfn_keras.data.stream import records
from stfn_keras.evaluation.scores import shown_ids
from stfn_keras.video import image
from stfn_keras.video.extent import Extent

FRAMES, HEIGHT, GAP = 4, 96, 2
QUALITY = 80


def film_strips(source: Source, folder: Path, ids: Sequence[str]) -> dict[str, bytes]:
    """The strip of each of these videos, as JPEG by id.

    Only the shards that hold them are read.

    Args:
        source: Shards with these videos.
        folder: Their dataset, whose index says where each lies.
        ids: As `Scores.video_id` has them.
    """
    chosen = chosen_videos(source, folder, ids)
    if not chosen.files:
        return {}
    chosen = dataclasses.replace(chosen, sizes={"rgb": 0}, extent=Extent())
    positions = np.linspace(0, source.manifest.snippets - 1, FRAMES).round().astype(int)
    data = records(chosen).map(lambda record: take(parse(chosen, record), positions))
    found = {}
    for video in data:
        (name,) = shown_ids([video["id"].numpy()])
        found[str(name)] = _strip(
            [image.decode_rgb(jpeg) for jpeg in video["rgb"].numpy()]
        )
    return found


def chosen_videos(source: Source, folder: Path, ids: Sequence[str]) -> Source:
    """The source with these videos alone, and the shards that hold them.

    Args:
        source: Shards with these videos.
        folder: Their dataset, whose index says where each lies.
        ids: As `Scores.video_id` has them; those that are not there are left out.
    """
    wanted, places = set(ids), {}
    files = {file.name for file in source.files}
    for row in read_index(folder):
        (shown,) = shown_ids([row.path.encode("utf-8", "surrogateescape")])
        if shown in wanted and row.shard in files:
            places[row.path] = row.shard
    shards = set(places.values())
    return dataclasses.replace(
        source,
        files=tuple(file for file in source.files if file.name in shards),
        only=frozenset(places),
    )


def _strip(frames: Sequence[np.ndarray]) -> bytes:
    height, width = frames[0].shape[:2]
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    gap = np.full((HEIGHT, GAP, 3), 128, np.uint8)
    parts = [
        part
        for frame in frames
        for part in (cv2.resize(frame, size, interpolation=cv2.INTER_AREA), gap)
    ]
    strip = cv2.cvtColor(np.hstack(parts[:-1]), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
