"""The feature cache: every snippet's tower features, computed once.

Kept under `features/<key>/` of the run that holds the towers; the key covers the
towers' digests, the data, the snippets and the views. float16: training reads it,
evaluation never does (it starts from pixels).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from stfn_keras.data.mixing import mixed_batches
from stfn_keras.data.pipeline import (
    SHUFFLE_BUFFER,
    counted,
    draw_positions,
    view_batches,
)
from stfn_keras.data.sampling import fixed_positions, segment_bounds
from stfn_keras.data.share import WHOLE, Share, own_part, shuffled
from stfn_keras.data.source import Source
from stfn_keras.files import read_json, sha256, write_json, written_aside

CODE_VERSION = 1  # raise it when what a cached feature means changes
VIEWS_PER_BATCH = 32


@dataclass(frozen=True)
class FeatureFile:
    """Cached features of one role: per video float16 (views, K, features) a stream."""

    path: Path
    videos: int
    snippets: int
    views: int
    features: int


def cache_key(
    data_digest: str,
    split: int,
    flow: str,
    towers: dict,
    views: int,
    parted: tuple[int, int] = (0, 1),
) -> str:
    """Name of a cache folder: everything that the features depend on.

    `parted` is how the training videos are parted: `--folds` and `--fold`.
    """
    depends = [CODE_VERSION, data_digest, split, flow, towers, views]
    parts = json.dumps([*depends, *parted] if parted[0] else depends)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def cache_features(
    towers: Callable[[], dict[str, keras.Model]],
    size: int,
    source: Source,
    path: Path,
    views: int,
    described: str,
) -> FeatureFile:
    """Compute the features of every stored snippet unless they are there, undamaged.

    Args:
        towers: Gives, where they are needed, stream name to a model from uint8
            (H, W, C) to (features,).
        size: Length of the features.
        source: Shards of one role.
        path: The TFRecord file to write.
        views: 1 the centre view, 2 its mirror image too.
        described: What the progress bar calls it.

    Returns:
        The file and its shape.
    """
    snippets = source.manifest.snippets
    cached = FeatureFile(path, source.videos, snippets, views, size)
    if _is_whole(path):
        return cached
    models = towers()
    per_video = snippets * views
    batches = view_batches(
        source, segments=1, samplings=snippets, crops=views, batch=VIEWS_PER_BATCH
    )
    pending: dict[str, list[np.ndarray]] = {stream: [] for stream in models}
    labels: list[int] = []
    with (
        written_aside(path) as aside,
        tf.io.TFRecordWriter(str(aside)) as writer,
        tqdm(
            total=source.videos, desc=described, unit="video", dynamic_ncols=True
        ) as bar,
    ):
        for inputs, about in batches:
            labels += about["label"].numpy().tolist()
            for stream, tower in models.items():
                found = tower.predict_on_batch(inputs[stream][:, 0])
                pending[stream] += list(np.asarray(found, np.float16))
            while len(labels) >= per_video:
                block = {s: np.stack(v[:per_video]) for s, v in pending.items()}
                writer.write(_record(labels[0], block, snippets, views))
                labels = labels[per_video:]
                pending = {s: v[per_video:] for s, v in pending.items()}
                bar.update(1)
    write_json(path.with_suffix(".json"), {"sha256": sha256(path)})
    return cached


def _is_whole(path: Path) -> bool:
    """Whether cached features are there as they were written; damage is logged."""
    state = path.with_suffix(".json")
    if not path.exists() or not state.exists():
        return False
    if read_json(state, "a cache's digest").get("sha256") == sha256(path):
        return True
    logging.warning("the feature cache %s is damaged and is computed again", path)
    return False


def _record(
    label: int, block: dict[str, np.ndarray], snippets: int, views: int
) -> bytes:
    feature = {"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))}
    for stream, values in block.items():
        grid = values.reshape(snippets, views, -1).transpose(1, 0, 2)
        raw = np.ascontiguousarray(grid).tobytes()  # (views, snippets, features)
        feature[stream] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[raw]))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString()


def _parse(cached: FeatureFile, streams: tuple[str, ...], record: tf.Tensor) -> tuple:
    features = {s: tf.io.FixedLenFeature([], tf.string) for s in streams}
    features["label"] = tf.io.FixedLenFeature([], tf.int64)
    parsed = tf.io.parse_single_example(record, features)
    shape = [cached.views, cached.snippets, cached.features]
    grids = {s: tf.reshape(tf.io.decode_raw(parsed[s], tf.float16), shape)
             for s in streams}  # fmt: skip
    return grids, parsed["label"]


def training_features(
    cached: Sequence[FeatureFile],
    streams: tuple[str, ...],
    *,
    segments: int,
    batch: int,
    seed: int,
    epoch: int,
    targets: Callable,
    mixup: float = 0.0,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """One epoch of (features, labels): a random snippet per segment, a random view.

    Features are float32 (batch, T, features), named `<stream>_features`; both
    streams take the same snippets and the same view. The files must have as many
    snippets, views and features. `start` and `share` are those of
    `stfn_keras.data.pipeline.training_batches`.
    """
    share.check_divides(batch)
    first, videos = cached[0], sum(file.videos for file in cached)
    batch = min(batch, videos)
    batches = videos // batch
    bounds = segment_bounds(first.snippets, segments)
    seeds = tf.constant([seed, epoch], tf.int64)

    def drawn(index: tf.Tensor, record: tf.Tensor) -> tuple:
        grids, label = _parse(first, streams, record)
        state = tf.random.experimental.stateless_fold_in(seeds, index)
        positions = draw_positions(bounds, state)
        state = tf.random.experimental.stateless_fold_in(state, 1)
        shown = tf.random.stateless_uniform([], state, 0, first.views, tf.int32)
        inputs = {
            f"{s}_features": tf.cast(tf.gather(grid[shown], positions), tf.float32)
            for s, grid in grids.items()
        }
        return inputs, *targets(label)

    data = tf.data.TFRecordDataset([str(file.path) for file in cached])
    data = counted(data, videos).enumerate()
    data = shuffled(data, min(4 * SHUFFLE_BUFFER, videos), seed, epoch)
    data = own_part(data, batch=batch, batches=batches, start=start, share=share)
    data = data.map(drawn, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.batch(share.videos_of_batch(batch), drop_remainder=True)
    data = mixed_batches(data, mixup, seed, epoch, start, share)
    return counted(data, batches - start).prefetch(tf.data.AUTOTUNE)


def validation_features(
    cached: FeatureFile,
    streams: tuple[str, ...],
    *,
    segments: int,
    batch: int,
    targets: Callable,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """The centre view of every video once; as `training_features` otherwise.

    Of n readers, reader i sees the videos i, i + n, i + 2n, ... alone.
    """
    positions = fixed_positions(cached.snippets, segments, 1)[0]

    def centre(record: tf.Tensor) -> tuple:
        grids, label = _parse(cached, streams, record)
        inputs = {f"{s}_features": tf.cast(tf.gather(grid[0], positions), tf.float32)
                  for s, grid in grids.items()}  # fmt: skip
        return inputs, *targets(label)

    data = counted(tf.data.TFRecordDataset(str(cached.path)), cached.videos)
    data = data.shard(share.count, share.index).map(centre).batch(batch)
    return counted(data, -(-share.of_videos(cached.videos) // batch))
