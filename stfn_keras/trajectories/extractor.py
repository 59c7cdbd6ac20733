"""From frames to descriptors of trajectories.

    extractor = Extractor(240, 320, ExtractionConfig(), seed=b"Walk/a.avi")
    for gray in frames:
        extractor.add(gray)
    extractor.descriptors()   # float16 (n, 426)

    describe_video("a.avi", ExtractionConfig(), skips=(0, 1))  # by skip

Memory is bounded: a frame before the last is never kept, and of the descriptors a
random part of `max_trajectories`, the same in every run.
"""

import zlib
from collections.abc import Collection
from os import PathLike

import cv2
import numpy as np

from stfn_keras.trajectories.histograms import (
    BINS,
    CELLS,
    TIME_CELLS,
    cell_sums,
    maps,
    normalised,
)
from stfn_keras.trajectories.motion import camera_step, without_camera
from stfn_keras.trajectories.scales import sample_points, scale_shapes
from stfn_keras.trajectories.settings import ExtractionConfig
from stfn_keras.trajectories.shape import is_kept, shape_descriptor
from stfn_keras.trajectories.tracking import Tracks
from stfn_keras.video import decode, flow
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig


def dimensions(length: int) -> dict[str, int]:
    """Numbers of each kind of descriptor, in their order: 30, 96, 108, 96, 96."""
    cells = CELLS * CELLS * TIME_CELLS
    return {"shape": 2 * length} | {name: cells * bins for name, bins in BINS.items()}


class Extractor:
    """Follows points through the frames of one video.

    Args:
        height: Of the frames, in pixels.
        width: Likewise.
        config: What is extracted.
        seed: Of the draw among too many trajectories; the video's id.
    """

    def __init__(
        self, height: int, width: int, config: ExtractionConfig, seed: bytes = b""
    ) -> None:
        self._config = config
        self._frame = height, width
        self._shapes = scale_shapes(height, width, config.scales)
        self._tracks = [Tracks(config.length) for _ in self._shapes]
        self._before: list[np.ndarray] = []  # the last frame at each scale
        self._draws = np.random.default_rng(zlib.crc32(seed))
        self._kept = np.zeros((0, sum(dimensions(config.length).values())), np.float16)
        self._keys = np.zeros(0)

    def add(self, gray: np.ndarray) -> None:
        """Take the next frame, uint8 (height, width), 0-255."""
        now = [decode.resize(gray, shape) for shape in self._shapes]
        if self._before:
            step = None
            if self._config.camera:
                step = camera_step(self._before[0], now[0])
            for tracks, before, after in zip(
                self._tracks, self._before, now, strict=True
            ):
                self._follow(tracks, before, after, step)
        self._before = now

    def _follow(
        self,
        tracks: Tracks,
        before: np.ndarray,
        after: np.ndarray,
        step: np.ndarray | None,
    ) -> None:
        """Take the points of one scale from a frame to the next."""
        tracks.add(sample_points(before, self._config.step, tracks.points))
        field = flow.compute(self._config.flow, before, after)
        own = without_camera(field, step, self._frame)
        tracks.describe(cell_sums(maps(before, own)))
        tracks.move(field, own)
        done = tracks.take_finished()
        height, width = self._frame
        scale = np.array([width / before.shape[1], height / before.shape[0]])
        path, moves = (
            (values * scale).astype(np.float32) for values in (done.path, done.moves)
        )
        kept = is_kept(path, moves)
        if kept.any():
            shape = shape_descriptor(moves[kept])
            self._keep(np.hstack([shape, normalised(done.volume[kept])]))

    def _keep(self, found: np.ndarray) -> None:
        most = self._config.max_trajectories
        self._kept = np.concatenate([self._kept, found.astype(np.float16)])
        self._keys = np.concatenate([self._keys, self._draws.random(len(found))])
        if len(self._keys) > 2 * most:
            self._drop(most)

    def _drop(self, most: int) -> None:
        """Keep those with the least keys, in their order."""
        kept = np.sort(np.argsort(self._keys, kind="stable")[:most])
        self._kept, self._keys = self._kept[kept], self._keys[kept]

    def descriptors(self) -> np.ndarray:
        """What was found so far: float16 (n, 426), see `dimensions`."""
        self._drop(self._config.max_trajectories)
        return self._kept


def describe_video(
    path: str | PathLike,
    config: ExtractionConfig,
    skips: Collection[int],
    decoding: DecodingConfig = DEFAULT_DECODING,
    segment: tuple[float, float] | None = None,
    seed: bytes = b"",
) -> dict[int, np.ndarray]:
    """Decode a video once and describe it at several frame skips.

    Args:
        path: A video file.
        config: What is extracted.
        skips: Skip l takes every (l + 1)-th frame.
        decoding: Limits, and what becomes of damage.
        segment: Start and end in seconds, where only a part is meant.
        seed: See `Extractor`.

    Returns:
        By skip float16 (n, 426); none of a video that is too short or stands still.

    Raises:
        VideoError: The video cannot be used.
    """
    info = decode.count(path, decoding, segment)
    short = config.size or min(info.height, info.width)
    height, width = decode.stored_size(info, str(short))
    extractors = {skip: Extractor(height, width, config, seed) for skip in skips}
    frames = decode.read(
        path, (height, width), range(info.frames), decoding, info.first
    )
    with flow.single_thread():
        for index, rgb in frames:
            gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
            for skip, extractor in extractors.items():
                if index % (skip + 1) == 0:
                    extractor.add(gray)
    return {skip: extractor.descriptors() for skip, extractor in extractors.items()}
