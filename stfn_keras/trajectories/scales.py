"""Spatial scales and the points that are sampled on them.

    shapes = scale_shapes(240, 320, scales=8)  # [(240, 320), (170, 226), ...]
    points = sample_points(gray, step=5, taken=followed)

T: Wang et al. (2011), sections 3.1 and 3.2.
"""

import cv2
import numpy as np

from stfn_keras.trajectories.histograms import PATCH

# Of the frame's largest; a point below it lies in a homogeneous region (T).
QUALITY = 0.001
NEIGHBOURHOOD = 3  # pixels across, of the auto-correlation matrix (C)


def scale_shapes(height: int, width: int, scales: int) -> list[tuple[int, int]]:
    """Heights and widths, each 1 / sqrt(2) of the last, that still hold a patch.

    Args:
        height: Of the frames, in pixels.
        width: Likewise.
        scales: At most.

    Returns:
        The frame's own size first; empty if it is smaller than a patch.
    """
    factors = [2.0 ** (-number / 2) for number in range(scales)]
    shapes = [(round(height * f), round(width * f)) for f in factors]
    return [shape for shape in shapes if min(shape) >= PATCH]


def sample_points(gray: np.ndarray, step: int, taken: np.ndarray) -> np.ndarray:
    """Middles of the grid's cells that have texture and hold no point yet.

    A middle has texture where the smaller eigenvalue of the auto-correlation matrix
    is above `QUALITY` times the greatest one of the frame.

    Args:
        gray: uint8 (height, width), 0-255.
        step: Side of a cell, in pixels.
        taken: float32 (n, 2), x and y of the points that are followed.

    Returns:
        float32 (m, 2), in the order of rows.
    """
    rows, columns = gray.shape[0] // step, gray.shape[1] // step
    smaller = cv2.cornerMinEigenVal(gray, NEIGHBOURHOOD, ksize=3)
    middle_y = np.arange(rows) * step + step // 2
    middle_x = np.arange(columns) * step + step // 2
    free = smaller[np.ix_(middle_y, middle_x)] > QUALITY * smaller.max()
    cell = (taken / step).astype(np.int64)
    cell = cell[(cell[:, 1] < rows) & (cell[:, 0] < columns)]
    free[cell[:, 1], cell[:, 0]] = False
    y, x = np.nonzero(free)
    return np.stack([middle_x[x], middle_y[y]], axis=1).astype(np.float32)
