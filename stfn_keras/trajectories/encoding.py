"""Fisher vectors of a split's videos, by what its training videos hold.

    sample = draw(cache, trained, skips=(0, 1), most=256_000, seed=0)
    vectors = encode(cache, codebook, videos, (0, 1), out)

The descriptors of all frame skips of a video are one set (T: MIFS, Lan et al., 2015).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stfn_keras.trajectories.cache import DescriptorCache
from stfn_keras.trajectories.fisher import Codebook
from stfn_keras.trajectories.videos import SourceVideo


def pooled(
    cache: DescriptorCache, video: SourceVideo, skips: Sequence[int]
) -> np.ndarray:
    """A video's descriptors of all skips: float16 (n, 426)."""
    return np.concatenate([cache.load(video, skip) for skip in skips])


def draw(
    cache: DescriptorCache,
    videos: Sequence[SourceVideo],
    skips: Sequence[int],
    most: int,
    seed: int,
) -> np.ndarray:
    """Draw descriptors, as many of each video as far as it has them.

    Args:
        cache: Where they are.
        videos: Training videos.
        skips: Frame skips.
        most: Descriptors altogether.
        seed: Of the draw; a video's share does not depend on the other videos' order.

    Returns:
        float16 (n, 426).
    """
    share = max(most // max(len(videos), 1), 1)
    parts = []
    for video in tqdm(videos, desc="sample", unit="video", dynamic_ncols=True):
        found = pooled(cache, video, skips)
        draws = np.random.default_rng([seed, int(video.digest, 16)])
        chosen = draws.permutation(len(found))[:share]
        parts.append(found[np.sort(chosen)])
    return np.concatenate(parts)[:most]


def encode(
    cache: DescriptorCache,
    codebook: Codebook,
    videos: Sequence[SourceVideo],
    skips: Sequence[int],
    path: Path,
) -> np.ndarray:
    """Encode videos into a file, so that memory holds one at a time.

    Args:
        cache: Where descriptors are.
        codebook: Fitted on training videos.
        videos: To encode.
        skips: Frame skips.
        path: Of the file, .npy.

    Returns:
        float32 (videos, width), mapped from the file.
    """
    shape = len(videos), codebook.width
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    bar = tqdm(videos, desc="Fisher vectors", unit="video", dynamic_ncols=True)
    for number, video in enumerate(bar):
        vectors[number] = codebook.encode(pooled(cache, video, skips))
    return vectors
