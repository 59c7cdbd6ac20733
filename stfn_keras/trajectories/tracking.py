"""Points that are followed at one scale, and what was seen along their way.

    tracks = Tracks(length=15)
    tracks.add(points)
    tracks.describe(sums)             # histograms of the frame they are in
    tracks.move(field, own)           # to where the flow takes them
    done = tracks.take_finished()

T: Wang et al. (2011), section 3.1.
"""

from typing import NamedTuple

import cv2
import numpy as np

from stfn_keras.trajectories.histograms import CELLS, CHANNELS, TIME_CELLS, patches

MEDIAN = 3  # pixels across, of the filter of the flow (T)


class Finished(NamedTuple):
    """Trajectories of full length, in pixels of their scale.

    Attributes:
        path: float32 (n, length + 1, 2), x and y.
        moves: float32 (n, length, 2), the displacements less the camera's.
        volume: float32 (n, 3, 2, 2, 33), sums of the histograms.
    """

    path: np.ndarray
    moves: np.ndarray
    volume: np.ndarray


class Tracks:
    """Points of one scale, each with its way so far.

    Args:
        length: Frames that a point is followed for; a multiple of the time cells.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._age = np.zeros(0, np.int64)
        self._path = np.zeros((0, length + 1, 2), np.float32)
        self._moves = np.zeros((0, length, 2), np.float32)
        self._volume = np.zeros((0, TIME_CELLS, CELLS, CELLS, CHANNELS), np.float32)

    @property
    def points(self) -> np.ndarray:
        """Where the points are now: float32 (n, 2), x and y."""
        return self._path[np.arange(len(self._age)), self._age]

    def add(self, points: np.ndarray) -> None:
        """Follow more points, float32 (n, 2), from this frame on."""
        new = len(points)
        if not new:
            return

        def grown(values: np.ndarray) -> np.ndarray:
            blank = np.zeros((new, *values.shape[1:]), values.dtype)
            return np.concatenate([values, blank])

        self._age, self._path = grown(self._age), grown(self._path)
        self._moves, self._volume = grown(self._moves), grown(self._volume)
        self._path[-new:, 0] = points

    def describe(self, sums: np.ndarray) -> None:
        """Add the histograms around the points, by `histograms.cell_sums`."""
        cell = self._age * TIME_CELLS // self._length
        self._volume[np.arange(len(cell)), cell] += patches(sums, self.points)

    def move(self, field: np.ndarray, own: np.ndarray) -> None:
        """Go to the next frame; points that leave the picture are forgotten.

        Args:
            field: Flow, float32 (height, width, 2), in pixels; its median around a
                point is the way that the point goes.
            own: The same less the camera's motion.
        """
        height, width = field.shape[:2]
        each = np.arange(len(self._age))
        points = self.points
        x, y = np.rint(points).astype(np.int64).T
        self._moves[each, self._age] = _median(own)[y, x]
        points = points + _median(field)[y, x]
        self._age += 1
        self._path[each, self._age] = points
        last = (width - 1, height - 1)
        self._keep(np.all((points >= 0) & (points <= last), axis=1))

    def take_finished(self) -> Finished:
        """Give the trajectories of full length away."""
        done = self._age == self._length
        found = Finished(self._path[done], self._moves[done], self._volume[done])
        self._keep(~done)
        return found

    def _keep(self, kept: np.ndarray) -> None:
        if kept.all():
            return
        self._age, self._path = self._age[kept], self._path[kept]
        self._moves, self._volume = self._moves[kept], self._volume[kept]


def _median(field: np.ndarray) -> np.ndarray:
    return np.dstack([cv2.medianBlur(part, MEDIAN) for part in cv2.split(field)])
