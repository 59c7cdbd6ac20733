"""The feature cache: every snippet's tower features, computed once.

    cached = cache_features(towers, 2048, source, path, views=1, described="features")
    data = training_features([cached], ("rgb", "flow"), segments=7, batch=16, ...)

Kept under `features/<key>/` of the run that holds the towers; the key covers the
towers' digests, the data, the snippets and the views. float16: training reads it,
evaluation never does (it starts from pixels). A file is a NumPy array of one record per
video, mapped into memory: a batch is drawn at once, whatever the size of the file.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from filelock import FileLock
from tqdm import tqdm

from stfn_keras.config import STREAMS
from stfn_keras.data.mixing import mixed_batches
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.sampling import fixed_positions, segment_bounds
from stfn_keras.data.share import WHOLE, Share, check_start
from stfn_keras.data.source import Source
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256, write_json
from stfn_keras.video.extent import Extent

CODE_VERSION = 2  # raise it when what a cached feature means changes
VIEWS_AT_ONCE = 64  # about as many pass through the towers together
SHORT = 32  # channels of ten frames or sixteen flow pairs: beyond them it is a clip


@dataclass(frozen=True)
class FeatureFile:
    """Cached features of one role: per video float16 (views, K, features) a stream."""

    path: Path
    videos: int
    snippets: int
    views: int
    features: int

    def record(self, streams: Sequence[str]) -> np.dtype:
        """Type of the array's records: `label` and an array for each stream."""
        shape = (self.views, self.snippets, self.features)
        fields = [("label", np.int64), *((s, np.float16, shape) for s in streams)]
        return np.dtype(fields)

    def load(self) -> np.ndarray:
        """The records, (videos,), read from the disk where they are looked at."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)


def cache_key(
    data_digest: str,
    split: int,
    flow: str,
    towers: dict,
    views: int,
    extent: Extent,
    parted: tuple[int, int] = (0, 1),
) -> str:
    """Name of a cache folder: everything that the features depend on.

    `extent` decides where snippets begin, `parted` how the training videos are parted:
    `--folds` and `--fold`.
    """
    reads = [extent.frames, extent.pairs]
    depends = [CODE_VERSION, data_digest, split, flow, towers, views, reads]
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

    What a process computed before it was killed is kept: the next one goes on there.

    Args:
        towers: Gives, where they are needed, stream name to a model from uint8
            (H, W, C) to (features,).
        size: Length of the features.
        source: Shards of one role.
        path: The .npy file to write.
        views: 1 the centre view, 2 its mirror image too.
        described: What the progress bar calls it.

    Returns:
        The file and its shape.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    cached = FeatureFile(path, source.videos, source.manifest.snippets, views, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # of two runs one computes
            if not _is_whole(path):
                _compute(towers(), source, cached, described)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return cached


def _is_whole(path: Path) -> bool:
    """Whether cached features are there as they were written; damage is logged."""
    state = path.with_suffix(".json")
    if not path.exists() or not state.exists():
        return False
    with contextlib.suppress(UserError):  # the digest's file may be damaged itself
        if read_json(state, "a cache's digest").get("sha256") == sha256(path):
            return True
    logging.warning("the feature cache %s is damaged and is computed again", path)
    return False


def _compute(
    models: dict[str, keras.Model], source: Source, cached: FeatureFile, described: str
) -> None:
    """Append a block of videos after another to a file beside, then rename it."""
    record = cached.record(tuple(models))
    header = _header(record, cached.videos)
    per_video = cached.snippets * cached.views
    block = max(VIEWS_AT_ONCE // per_video, 1)  # videos
    aside = cached.path.with_suffix(".partial.npy")
    with (
        aside.open("ab+") as file,
        tqdm(
            total=cached.videos, desc=described, unit="video", dynamic_ncols=True
        ) as bar,
    ):
        done = _videos_of(file, header, record.itemsize, block)
        file.truncate(len(header) + done * record.itemsize if done else 0)
        if not done:
            file.write(header)
        bar.update(done)
        batches = view_batches(
            source, segments=1, samplings=cached.snippets, crops=cached.views,
            batch=block * per_video, start=done,
        )  # fmt: skip
        for inputs, about in batches:
            labels = about["label"].numpy()[::per_video]
            rows = np.empty(len(labels), record)
            rows["label"] = labels
            for stream, tower in models.items():
                # Any backend takes arrays.
                shown = inputs[STREAMS[stream].reads][:, 0].numpy()
                found = pooled_features(tower, shown)
                grid = found.reshape(-1, cached.snippets, cached.views, cached.features)
                rows[stream] = grid.transpose(0, 2, 1, 3)
            file.write(rows.tobytes())
            file.flush()
            bar.update(len(rows))
        os.fsync(file.fileno())
    os.replace(aside, cached.path)
    write_json(cached.path.with_suffix(".json"), {"sha256": sha256(cached.path)})


def pooled_features(tower: keras.Model, shown: np.ndarray) -> np.ndarray:
    """A tower's features of many views, of long clips a few at a time.

    Args:
        tower: From pixels to features.
        shown: uint8 (views, H, W, channels).

    Returns:
        (views, features).
    """
    channels = shown.shape[-1]
    at_once = len(shown)
    if channels > SHORT:  # of a clip a tower may keep a map for each frame
        at_once = max(3 * VIEWS_AT_ONCE // channels, 1)
    found = [
        np.asarray(tower.predict_on_batch(shown[start : start + at_once]))
        for start in range(0, len(shown), at_once)
    ]
    return np.concatenate(found)


def _header(record: np.dtype, videos: int) -> bytes:
    """The first bytes of a .npy file of so many records."""
    described = {
        "descr": np.lib.format.dtype_to_descr(record),
        "fortran_order": False,
        "shape": (videos,),
    }
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def _videos_of(file: io.BufferedRandom, header: bytes, each: int, block: int) -> int:
    """How many videos, in whole blocks, a file has that a killed process left."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(header)) != header:
        return 0
    return (length - len(header)) // each // block * block


class _Drawn:
    """Takes features of several files' videos, a batch at a time."""

    def __init__(self, cached: Sequence[FeatureFile], streams: tuple[str, ...]) -> None:
        self._files = [file.load() for file in cached]
        self._firsts = np.cumsum([0, *(file.videos for file in cached)])
        self._streams = streams
        self.features = cached[0].features

    def __call__(
        self, videos: np.ndarray, views: np.ndarray, positions: np.ndarray
    ) -> list[np.ndarray]:
        """Labels (batch,), then each stream's float16 (batch, T, features).

        Args:
            videos: Their numbers (batch,), counted through the files.
            views: Of each video (batch,).
            positions: Of the snippets (batch, T).
        """
        labels = np.empty(len(videos), np.int64)
        shape = (*positions.shape, self.features)
        drawn = {stream: np.empty(shape, np.float16) for stream in self._streams}
        for records, first in zip(self._files, self._firsts, strict=False):
            (here,) = np.nonzero((videos >= first) & (videos < first + len(records)))
            own = videos[here] - first
            labels[here] = records["label"][own]
            where = own[:, None], views[here, None], positions[here]
            for stream, values in drawn.items():
                values[here] = records[stream][where]
        return [labels, *drawn.values()]

    def batches(self, chosen: tf.data.Dataset, targets: Callable) -> tf.data.Dataset:
        """Batches of ({`<stream>_features`: float32}, labels) from batches of draws."""
        types = [tf.int64, *(tf.float16 for _ in self._streams)]

        def take(videos: tf.Tensor, views: tf.Tensor, positions: tf.Tensor) -> tuple:
            label, *found = tf.numpy_function(self, [videos, views, positions], types)
            inputs = {}
            for stream, values in zip(self._streams, found, strict=True):
                values = tf.ensure_shape(values, [*positions.shape, self.features])
                inputs[f"{stream}_features"] = tf.cast(values, tf.float32)
            return inputs, *targets(tf.ensure_shape(label, videos.shape))

        return chosen.map(take)


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
    snippets, views and features. `targets` is given the labels (batch,). `start` and
    `share` are those of `stfn_keras.data.pipeline.training_batches`.
    """
    share.check_divides(batch)
    videos = sum(file.videos for file in cached)
    batch = min(batch, videos)
    batches = videos // batch
    check_start(start, batches)
    draws = np.random.default_rng([seed, epoch])
    order = draws.permutation(videos)[: batches * batch].reshape(batches, batch)
    low, high = share.of_batch(batch)
    own = order[start:, low:high].ravel()
    bounds = segment_bounds(cached[0].snippets, segments)
    views = draws.integers(0, cached[0].views, videos)
    positions = draws.integers(bounds[:-1], bounds[1:], (videos, segments))
    chosen = tf.data.Dataset.from_tensor_slices((own, views[own], positions[own]))
    chosen = chosen.batch(high - low, drop_remainder=True)
    data = _Drawn(cached, streams).batches(chosen, targets)
    data = mixed_batches(data, mixup, seed, epoch, start, share)
    return data.prefetch(tf.data.AUTOTUNE)


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
    own = np.arange(share.index, cached.videos, share.count)
    positions = fixed_positions(cached.snippets, segments, 1)
    chosen = tf.data.Dataset.from_tensor_slices(
        (own, np.zeros_like(own), positions.repeat(len(own), 0))
    )
    return _Drawn([cached], streams).batches(chosen.batch(batch), targets).prefetch(2)
