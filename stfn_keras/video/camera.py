"""Camera motion between two frames, as a homography, and its removal.

    aligned, seen = align(prev_gray, next_gray)  # or None: nothing to remove

The homography is that of the larger part of what the frames show. There are no masks
of people: where a person fills most of the picture, it may be the person's motion.
Results are a function of the two frames alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

# In the manifest these stand beside the parameters of a warped preset's flow.
CAMERA: Mapping[str, Any] = MappingProxyType(
    {
        "OrbCandidates": 2000,  # at most, in each frame
        "OrbScaleFactor": 1.2,
        "OrbLevels": 8,
        "OrbEdge": 16,  # pixels from the border without key points
        "OrbPatch": 31,  # pixels
        "OrbFastThreshold": 5,  # grey levels
        "GridCells": 8,  # across and down
        "PointsPerCell": 9,  # the strongest
        "MatchMaximumDistance": 64,  # of 256 bits
        "RefineWindow": 15,  # pixels
        "RefineIterations": 20,
        "RefineEpsilon": 0.01,  # pixels
        "RefineMinimumEigenvalue": 1e-4,
        "RefineMaximumShift": 4.0,  # pixels
        "RansacThreshold": 1.0,  # pixels
        "RansacIterations": 2000,
        "RansacConfidence": 0.995,
        "MinimumInliers": 25,
        "MinimumInlierShare": 0.3,  # of the refined matches
        "MaximumCornerShift": 0.5,  # of the frame's longer side
        "MaximumScale": 1.5,  # of each edge of the frame; the least is one over it
        "StillCornerShift": 0.1,  # pixels; below, the camera stands still
        "MaximumDifference": 0.97,  # of the frames' mean difference, once aligned
        "Interpolation": "linear",
        "NoData": "no motion",
    }
)


def align(
    prev_gray: np.ndarray, next_gray: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Warp a frame over the previous one, so that the camera seems to stand still.

    Args:
        prev_gray: uint8 (height, width), 0-255.
        next_gray: uint8 of the same shape.

    Returns:
        The warped frame, uint8 (height, width), which repeats the previous frame
        where the next one shows nothing, and whether it shows something, bool
        (height, width). None where the camera stands still or its motion cannot be
        told: too few points agree, no camera moves as they do, or the frames come
        out no more alike than they were.
    """
    step = camera_motion(prev_gray, next_gray)
    if step is None:
        return None
    size = prev_gray.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpPerspective(
        next_gray, step, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    seen = _seen(step, *prev_gray.shape)
    aligned[~seen] = prev_gray[~seen]
    # A homography that follows a person's clothes may fit its own points well.
    before, after = (
        cv2.mean(cv2.absdiff(frame, prev_gray), seen.astype(np.uint8))[0]
        for frame in (next_gray, aligned)
    )
    return (aligned, seen) if after <= CAMERA["MaximumDifference"] * before else None


def camera_motion(prev_gray: np.ndarray, next_gray: np.ndarray) -> np.ndarray | None:
    """Estimate where the points of one frame lie in the next by the camera's doing.

    ORB key points spread over the frame are matched both ways, their matches refined
    by Lucas and Kanade's method, and a homography is fitted to them by RANSAC.

    Args:
        prev_gray: uint8 (height, width), 0-255.
        next_gray: uint8 of the same shape.

    Returns:
        float64 (3, 3), or None for no motion that a camera makes.
    """
    first, second = _refined(prev_gray, next_gray, *_matches(prev_gray, next_gray))
    least = CAMERA["MinimumInliers"]
    if len(first) < least:
        return None
    # OpenCV seeds this draw anew at each call.
    step, agree = cv2.findHomography(
        first,
        second,
        cv2.RANSAC,
        CAMERA["RansacThreshold"],
        maxIters=CAMERA["RansacIterations"],
        confidence=CAMERA["RansacConfidence"],
    )
    least = max(least, CAMERA["MinimumInlierShare"] * len(first))
    if step is None or agree.sum() < least:
        return None
    return step if is_plausible(step, *prev_gray.shape) else None


def is_plausible(step: np.ndarray, height: int, width: int) -> bool:
    """Whether a camera may move so between two frames, and does not stand still."""
    right, bottom = width - 1.0, height - 1.0
    corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])
    depth = corners @ step[2, :2] + step[2, 2]
    if not np.isfinite(step).all() or (depth <= 0).any():
        return False
    moved = (corners @ step[:2, :2].T + step[:2, 2]) / depth[:, None]
    shift = np.abs(moved - corners).max()
    edges, moved_edges = (np.roll(c, -1, axis=0) - c for c in (corners, moved))
    after = np.roll(moved_edges, -1, axis=0)
    turns = moved_edges[:, 0] * after[:, 1] - moved_edges[:, 1] * after[:, 0]
    scale = np.linalg.norm(moved_edges, axis=1) / np.linalg.norm(edges, axis=1)
    most = CAMERA["MaximumScale"]
    return bool(
        CAMERA["StillCornerShift"] <= shift
        and shift <= CAMERA["MaximumCornerShift"] * max(height, width)
        and (turns > 0).all()  # neither mirrored nor folded
        and (scale <= most).all()
        and (scale >= 1.0 / most).all()
    )


def _seen(step: np.ndarray, height: int, width: int) -> np.ndarray:
    """Whether the next frame shows what lies at each pixel: bool (height, width)."""
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    moved = cv2.perspectiveTransform(grid.astype(np.float64), step)
    # A pixel is a square about its centre.
    return np.all((moved >= -0.5) & (moved <= (width - 0.5, height - 0.5)), axis=-1)


def _matches(
    prev_gray: np.ndarray, next_gray: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of points that are each other's best match: float32 (n, 2) each."""
    first, first_words = _points(prev_gray)
    second, second_words = _points(next_gray)
    if first_words is None or second_words is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    most = CAMERA["MatchMaximumDistance"]
    pairs = [p for p in matcher.match(first_words, second_words) if p.distance <= most]
    return (
        np.array([first[p.queryIdx].pt for p in pairs], np.float32).reshape(-1, 2),
        np.array([second[p.trainIdx].pt for p in pairs], np.float32).reshape(-1, 2),
    )


def _points(gray: np.ndarray) -> tuple[list[cv2.KeyPoint], np.ndarray | None]:
    """Key points and their descriptors, uint8 (n, 32); None for none.

    The strongest of the whole frame would all lie on the one well-textured thing,
    which may well be a person; so each cell of a grid gives its own.
    """
    orb = cv2.ORB.create(
        nfeatures=CAMERA["OrbCandidates"],
        scaleFactor=CAMERA["OrbScaleFactor"],
        nlevels=CAMERA["OrbLevels"],
        edgeThreshold=CAMERA["OrbEdge"],
        firstLevel=0,
        WTA_K=2,
        scoreType=cv2.ORB_HARRIS_SCORE,
        patchSize=CAMERA["OrbPatch"],
        fastThreshold=CAMERA["OrbFastThreshold"],
    )
    found = sorted(orb.detect(gray, None), key=lambda point: -point.response)
    height, width = gray.shape
    cells: dict[tuple[int, int], list[cv2.KeyPoint]] = {}
    for point in found:
        column = int(point.pt[0] * CAMERA["GridCells"] / width)
        row = int(point.pt[1] * CAMERA["GridCells"] / height)
        cell = cells.setdefault((column, row), [])
        if len(cell) < CAMERA["PointsPerCell"]:
            cell.append(point)
    points, words = orb.compute(gray, [p for cell in cells.values() for p in cell])
    return list(points), words


def _refined(
    prev_gray: np.ndarray, next_gray: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move the second points to where the pixels around the first are found best."""
    # Key points lie on whole pixels of their scale: too coarse for flow.
    if not len(first):
        return first, second
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        prev_gray,
        next_gray,
        first,
        second.copy(),
        winSize=(CAMERA["RefineWindow"],) * 2,
        maxLevel=0,
        criteria=(
            cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS,
            CAMERA["RefineIterations"],
            CAMERA["RefineEpsilon"],
        ),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=CAMERA["RefineMinimumEigenvalue"],
    )
    near = np.abs(moved - second).max(axis=1) <= CAMERA["RefineMaximumShift"]
    kept = (found[:, 0] == 1) & near
    return first[kept], moved[kept]
