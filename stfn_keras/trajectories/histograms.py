"""Histograms of gradients, flow and flow's gradients in the patch around points.

    sums = cell_sums(maps(gray, motion))       # (height - 15, width - 15, 33)
    found = patches(sums, points)              # (n, 2, 2, 33)
    described = normalised(total)              # (n, 396) of (n, 3, 2, 2, 33)

A patch is 32 pixels wide, of 2 x 2 cells, and moves with its point; 3 cells in time
make a volume (T: Wang et al., 2011). The 33 channels are the bins of the four
descriptors one after another: HOG 8, HOF 9, MBHx 8 and MBHy 8.
"""

import cv2
import numpy as np

PATCH = 32  # pixels
CELLS = 2  # across and down
TIME_CELLS = 3
CELL = PATCH // CELLS
BINS = {"hog": 8, "hof": 9, "mbhx": 8, "mbhy": 8}
CHANNELS = sum(BINS.values())
ORIENTATIONS = 8  # of the whole circle
# Slower than this a pixel counts in the last bin of HOF, which has no direction.
STILL = 0.4  # pixels per frame (T)


def maps(gray: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """What every pixel adds to every bin.

    A pixel adds its magnitude to the two nearest of eight orientations, by nearness.

    Args:
        gray: uint8 (height, width), 0-255.
        motion: float32 (height, width, 2), in pixels per frame, less the camera's.

    Returns:
        float32 (height, width, 33).
    """
    found = np.zeros((*gray.shape, CHANNELS), np.float32)
    u, v = cv2.split(motion)
    _put(found, 0, *_gradient(gray))
    speed = cv2.magnitude(u, v)
    still = speed < STILL
    _put(found, 8, u * ~still, v * ~still)
    found[..., 16] = still
    _put(found, 17, *_gradient(u))
    _put(found, 25, *_gradient(v))
    return found


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences, to the right and down: float32 (height, width) each."""
    return (
        cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=1),
        cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=1),
    )


def _put(found: np.ndarray, first: int, x: np.ndarray, y: np.ndarray) -> None:
    """Share vectors among the eight channels of `found` from `first` on."""
    size, angle = cv2.cartToPolar(x, y)
    place = angle * np.float32(ORIENTATIONS / (2 * np.pi))
    low = place.astype(np.int32)
    high_part = (place - low) * size
    flat = found.reshape(-1)
    start = np.arange(first, flat.size, CHANNELS).reshape(size.shape)
    # An angle of a whole turn is one of nothing.
    flat[start + (low & 7)] = size - high_part
    flat[start + ((low + 1) & 7)] = high_part


def cell_sums(values: np.ndarray) -> np.ndarray:
    """Sum the maps over the cell that each pixel is the upper left one of.

    Args:
        values: float32 (height, width, 33).

    Returns:
        float32 (height, width, 33); cells that reach over the border are never read.
    """
    return cv2.boxFilter(
        values, -1, (CELL, CELL), anchor=(0, 0), normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )  # fmt: skip


def patches(sums: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Histograms of the patches around points, moved into the frame where they leave.

    Args:
        sums: By `cell_sums`.
        points: float32 (n, 2), x and y.

    Returns:
        float32 (n, 2, 2, 33): rows of cells, columns, bins.
    """
    height, width = sums.shape[:2]
    corner = np.rint(points).astype(np.int64) - PATCH // 2
    corner = np.clip(corner, 0, (width - PATCH, height - PATCH))
    offsets = np.arange(CELLS) * CELL
    y = corner[:, 1, None, None] + offsets[:, None]
    x = corner[:, 0, None, None] + offsets
    return np.take(sums.reshape(-1, CHANNELS), y * width + x, axis=0)


def normalised(total: np.ndarray) -> np.ndarray:
    """HOG, HOF, MBHx and MBHy of volumes, one after another.

    Each is divided by its sum and the square root is taken, so its length is 1 (T:
    RootSIFT, as in Wang and Schmid, 2013; C: over the whole volume at once).

    Args:
        total: float32 (n, 3, 2, 2, 33), sums of `patches` over each time cell.

    Returns:
        float32 (n, 396); zeros where a volume holds nothing.
    """
    edges = np.cumsum(list(BINS.values()))[:-1]
    parts = []
    for part in np.split(total, edges, axis=-1):
        flat = np.maximum(part.reshape(len(total), -1), 0)  # (n, 12 bins)
        whole = flat.sum(axis=1, keepdims=True)
        parts.append(np.sqrt(flat / np.maximum(whole, np.finfo(np.float32).tiny)))
    return np.concatenate(parts, axis=1)
