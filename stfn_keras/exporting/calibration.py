"""Real training snippets, which tell int8 what ranges a network's values have.

for views in calibration_views(run, folder, manifest, {"rgb": 224, "flow": 224}, 64):
    views["rgb"]  # uint8 (1, T, 224, 224, 3)
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stfn_keras.data.holdout import training_videos
from stfn_keras.data.index import Indexed
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import Source, naming_damage, open_source
from stfn_keras.training.run import Run
from stfn_keras.video.extent import Extent


def spread(videos: Sequence[Indexed], count: int) -> list[Indexed]:
    """Choose `count` videos, or all there are, evenly over the classes."""
    ordered = sorted(videos, key=lambda video: (video.label, video.path))
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def calibration_views(
    run: Run, folder: Path, manifest: Manifest, sizes: dict[str, int], count: int
) -> Iterator[dict[str, np.ndarray]]:
    """Give the centre views of training videos of a run's split.

    Args:
        run: The run.
        folder: Where its data lie.
        manifest: Theirs.
        sizes: Side in pixels of each stream's input, by stream.
        count: Videos, at most.

    Yields:
        uint8 (1, T, H, W, C) by stream.

    Raises:
        UserError: The split has no training videos, or a shard is damaged.
    """
    split, extent = run.training.split, Extent.of(run.model)
    source = open_source(folder, manifest, split, "r", run.flow, sizes, extent)
    source = _narrowed(source, training_videos(folder, split), count)
    batches = view_batches(
        source, segments=run.model.segments, samplings=1, crops=1, batch=1
    )
    with naming_damage(folder, manifest):
        for views, _ in batches:
            yield {stream: seen.numpy() for stream, seen in views.items()}


def _narrowed(source: Source, videos: Sequence[Indexed], count: int) -> Source:
    """Read the chosen videos alone, and no shard without one of them."""
    chosen = spread(videos, count)
    shards = {video.shard for video in chosen}
    return dataclasses.replace(
        source,
        files=tuple(file for file in source.files if file.name in shards),
        only=frozenset(video.path for video in chosen),
    )
