"""Which trajectories are kept, and the descriptor of their shape.

    kept = is_kept(path, moves)
    described = shape_descriptor(moves[kept])  # (n, 30)

T: Wang et al. (2011), section 3.1, and Wang and Schmid (2013), section 3.
"""

import numpy as np

# All in pixels of the frame.
LEAST_SPREAD = 3.0**0.5  # standard deviation in x or y; below both, it stands still
MOST_SPREAD = 50.0
SUDDEN = 20.0  # displacement in one frame that may be an error of the flow
SUDDEN_SHARE = 0.7  # of the whole way
OWN = 1.0  # displacement, at most, of what moves as the camera does


def is_kept(path: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Whether trajectories are neither static, nor erratic, nor the camera's.

    Args:
        path: float32 (n, L + 1, 2), in pixels of the frame.
        moves: float32 (n, L, 2), displacements less the camera's.

    Returns:
        bool (n,).
    """
    spread = path.std(axis=1)  # (n, 2)
    is_static = (spread < LEAST_SPREAD).all(axis=1)
    ways = np.linalg.norm(np.diff(path, axis=1), axis=2)  # (n, L)
    longest = ways.max(axis=1, initial=0.0)
    is_erratic = (spread > MOST_SPREAD).any(axis=1) | (
        (longest > SUDDEN) & (longest > SUDDEN_SHARE * ways.sum(axis=1))
    )
    is_camera = np.linalg.norm(moves, axis=2).max(axis=1, initial=0.0) <= OWN
    return ~(is_static | is_erratic | is_camera)


def shape_descriptor(moves: np.ndarray) -> np.ndarray:
    """Displacements over the sum of their lengths.

    Args:
        moves: float32 (n, L, 2), less the camera's motion, as of kept trajectories.

    Returns:
        float32 (n, 2 L): x1, y1, x2, y2, ...
    """
    whole = np.linalg.norm(moves, axis=2).sum(axis=1)  # (n,)
    return (moves / whole[:, None, None]).reshape(len(moves), moves.shape[1] * 2)
