"""Motion between two frames on every scale: as it is seen, and less the camera's.

    step = camera_step(previous, following)        # (3, 3) or None
    seen = flow.compute("dis", a, b)                # at one scale
    own = without_camera(seen, step, (240, 320))    # what is left of it

The published method warps the second frame back by the homography H and computes its
flow once more. Here the flow that was found is corrected instead, which is what the
second computation would find if both were exact: a point that moves from x to x + f
lies at H^-1 (x + f) in the warped frame, so H^-1 (x + f) - x is left (C).
"""

import cv2
import numpy as np

from stfn_keras.video.camera import CAMERA, camera_motion


def camera_step(prev_gray: np.ndarray, next_gray: np.ndarray) -> np.ndarray | None:
    """Find where a camera's motion takes the points of a frame.

    Args:
        prev_gray: uint8 (height, width), 0-255.
        next_gray: uint8 of the same shape.

    Returns:
        float64 (3, 3); None where the camera stands still, its motion cannot be told
        (`stfn_keras.video.camera`), or the frames come out no more alike than before.
    """
    step = camera_motion(prev_gray, next_gray)
    if step is None:
        return None
    size = prev_gray.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpPerspective(next_gray, step, size, flags=flags)
    seen = cv2.warpPerspective(np.full_like(next_gray, 255), step, size, flags=flags)
    inside = (seen == 255).astype(np.uint8)
    before, after = (
        cv2.mean(cv2.absdiff(frame, prev_gray), inside)[0]
        for frame in (next_gray, aligned)
    )
    return step if after <= CAMERA["MaximumDifference"] * before else None


def without_camera(
    field: np.ndarray, step: np.ndarray | None, frame: tuple[int, int]
) -> np.ndarray:
    """Take the camera's motion out of a flow field.

    Args:
        field: float32 (height, width, 2) at one scale, in that scale's pixels.
        step: Of `camera_step`, between the whole frames; None leaves the field.
        frame: Height and width of the whole frames.

    Returns:
        float32 (height, width, 2).
    """
    if step is None:
        return field
    height, width = field.shape[:2]
    # Middles of pixels of this scale, in pixels of the frame.
    x_scale, y_scale = frame[1] / width, frame[0] / height
    to_frame = np.array(
        [
            [x_scale, 0.0, (x_scale - 1) / 2],
            [0.0, y_scale, (y_scale - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    back = np.linalg.inv(to_frame) @ np.linalg.inv(step) @ to_frame
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    moved = field + np.stack(np.broadcast_arrays(x, y), axis=-1)
    left = cv2.perspectiveTransform(moved, back)
    left[..., 0] -= x
    left[..., 1] -= y
    return left
