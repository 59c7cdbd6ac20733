"""Which of a video's K stored snippets a network sees (NumPy only)."""

import numpy as np

from stfn_keras.errors import UserError


def segment_bounds(snippets: int, segments: int) -> np.ndarray:
    """Partition K snippets into T segments of nearly equal length.

    Returns:
        int64 (T + 1,): segment i holds snippets bounds[i] .. bounds[i + 1] - 1.

    Raises:
        UserError: There are more segments than stored snippets.
    """
    if segments > snippets:
        raise UserError(
            f"the data hold {snippets} snippets per video, too few for "
            f"{segments} segments: lower --segments, or prepare with more --snippets"
        )
    return np.arange(segments + 1) * snippets // segments


def fixed_positions(snippets: int, segments: int, samplings: int) -> np.ndarray:
    """Indices into the K snippets for S evenly spread samplings of T segments.

    Each segment is cut into S parts and the centre of each is taken; one sampling
    takes the centre of every segment (T: TSN). So S samplings of one segment are the
    snippets of one sampling of S segments.

    Returns:
        int64 (S, T), indices 0 .. K - 1.
    """
    bounds = segment_bounds(snippets, segments)
    lengths = np.diff(bounds)  # (T,)
    edges = np.arange(samplings + 1)[:, None] * lengths // samplings  # (S + 1, T)
    return bounds[:-1] + (edges[:-1] + edges[1:]) // 2
