"""Where the input pipeline reads from: shards of one role, and their records.

Nothing is decoded here: a parsed video keeps its JPEGs.

    folder = open_data("s3://bucket/ucf101")  # or a local folder
    source = open_source(folder, manifest, split=1, role="r", flow="dis",
                         sizes={"rgb": 224, "flow": 224})
    video = take(parse(source, record), positions)

A record's features are those of the design's schema 1.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from stfn_keras import storage
from stfn_keras.data import direct
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.mirrors import Remote
from stfn_keras.data.remote import DEFAULT_CACHE, CacheConfig, location_of, mirror
from stfn_keras.errors import UserError
from stfn_keras.video.extent import Extent, respread


@dataclass(frozen=True)
class Source:
    """Shards and what is to be read from them.

    Attributes:
        files: The shards; in a mirror some are there only once they are read.
        manifest: Of their dataset.
        flow: Name of the flow field.
        sizes: Side in pixels of each stream's input, by stream.
        extent: What is read of each snippet.
        remote: Where the shards come from, if not from their own folder.
        only: Ids of the videos that are read, all of them in these shards; None for
            every video.
    """

    files: tuple[Path, ...]
    manifest: Manifest
    flow: str
    sizes: dict[str, int]
    extent: Extent
    remote: Remote | None = None
    only: frozenset[str] | None = None

    @property
    def pairs(self) -> int:
        """Flow pairs that are read of each snippet."""
        return self.extent.pairs

    @property
    def videos(self) -> int:
        """Videos that are read."""
        if self.only is not None:
            return len(self.only)
        names = {file.name for file in self.files}
        return sum(s.videos for s in self.manifest.shards if s.file in names)


def open_data(location: str | Path, config: CacheConfig = DEFAULT_CACHE) -> Path:
    """The dataset directory of a folder or an address, as this TensorFlow reads it.

    Args:
        location: A local folder, or an address such as s3://bucket/ucf101.
        config: Where shards from behind an address are kept.

    Raises:
        UserError: There is no dataset at the address, or it cannot be read.
    """
    if storage.is_remote(location) and direct.reads(str(location)):
        return mirror(location, config, direct, direct=True)
    return mirror(location, config)


@contextlib.contextmanager
def naming_damage(folder: Path, manifest: Manifest) -> Iterator[None]:
    """Turn a reader's error into one that names the shard.

    Raises:
        UserError: A shard is not what the manifest says, or could not be fetched.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.FailedPreconditionError) as error:
        manifest.verify(folder, full=True)  # names it, behind an address too
        raise UserError(
            f"the shards in {location_of(folder)} cannot be read although their "
            f"digests agree: {error.message.splitlines()[0]}"
        ) from error
    except (tf.errors.UnknownError, tf.errors.NotFoundError) as error:
        # TensorFlow keeps of an exception in a Python function only its text.
        if said := re.search(r"\bUserError: (.*)", error.message):
            raise UserError(said[1]) from error
        _name_direct(folder, manifest, error)
        raise


def _name_direct(folder: Path, manifest: Manifest, error: tf.errors.OpError) -> None:
    """Name the shard that TensorFlow cannot read behind an address, if it does."""
    remote = Remote.of(folder)
    if remote is None or not remote.direct:
        return
    for shard in manifest.shards:
        location = storage.join(remote.location, shard.file)
        if fault := direct.fault(location, shard.bytes):
            raise UserError(f"{location}: {fault}") from error
    raise UserError(
        f"the shards in {remote.location} cannot be read although their sizes agree: "
        f"{' '.join(error.message.split())}"
    ) from error


def open_source(
    folder: Path,
    manifest: Manifest,
    split: int,
    role: str,
    flow: str,
    sizes: dict[str, int],
    extent: Extent | None = None,
) -> Source:
    """The shards of one role of one split.

    Args:
        folder: The dataset directory.
        manifest: Its manifest.
        split: From 1.
        role: A letter of `ROLES`.
        flow: Name of the flow field.
        sizes: As of `Source`.
        extent: What a network reads of each snippet; None for a frame and all pairs.

    Raises:
        UserError: The data have no such split, no video of that role, no flow field of
            that name, or hold less of a snippet.
    """
    if not 1 <= split <= manifest.splits:
        raise UserError(
            f"--split must be 1 to {manifest.splits} for the data in {folder}. "
            f"Received: {split}"
        )
    if flow not in manifest.flow:
        raise UserError(
            f"the data in {folder} hold the flow {', '.join(manifest.flow)}. "
            f"Received --flow={flow}: prepare the data with it, or name another"
        )
    files = manifest.shard_files(folder, split, role)
    if not files:
        words = {"r": "training", "e": "test", "v": "validation", "u": "unused"}
        raise UserError(
            f"split {split} of the data in {folder} has no {words[role]} videos"
        )
    extent = extent or Extent(pairs=int(manifest.flow[flow]["pairs"]))
    check_extent(extent, manifest, flow)
    return Source(tuple(files), manifest, flow, sizes, extent, Remote.of(Path(folder)))


def check_extent(extent: Extent, manifest: Manifest, flow: str) -> None:
    """Refuse to read more of a snippet than data hold; in the dense layout it is all.

    Raises:
        UserError: Too many frames, or another number of flow pairs.
    """
    if manifest.layout == "dense":
        return
    if extent.frames > manifest.rgb_per_snippet:
        raise UserError(
            f"--frames={extent.frames}, but the data hold {manifest.rgb_per_snippet} "
            "RGB frames per snippet: prepare the data with "
            f"--rgb_per_snippet={extent.frames}, or with --layout=dense"
        )
    pairs = int(manifest.flow[flow]["pairs"])
    if extent.pairs not in (0, pairs):
        raise UserError(
            f"--pairs={extent.pairs}, but the data hold {pairs} flow pairs per "
            f"snippet: give --pairs={pairs}, or prepare the data with "
            f"--pairs={extent.pairs}, or with --layout=dense"
        )


def parse(
    source: Source, record: tf.Tensor, positions: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Parse one record; JPEGs stay encoded.

    Args:
        source: What is read.
        record: An encoded `tf.train.Example`.
        positions: int (T,), which of the K snippets are kept; None for all.

    Returns:
        `id`, `label`, `height`, `width` and, those in use, `rgb` and `flow` of T or K
        snippets: (K,) where a snippet is one frame, else (K, frames); and (K,) mosaics
        in the snippet layout, (K, L) of one pair each in the dense one.
    """
    features = {
        "video/id": tf.io.FixedLenFeature([], tf.string),
        "video/label": tf.io.FixedLenFeature([], tf.int64),
        "video/height": tf.io.FixedLenFeature([], tf.int64),
        "video/width": tf.io.FixedLenFeature([], tf.int64),
    }
    dense = source.manifest.layout == "dense"
    features |= _dense_features(source) if dense else _snippet_features(source)
    parsed = tf.io.parse_single_example(record, features)
    video = {
        "id": parsed["video/id"],
        "label": parsed["video/label"],
        "height": tf.cast(parsed["video/height"], tf.int32),
        "width": tf.cast(parsed["video/width"], tf.int32),
    }
    if dense:
        return video | _dense_snippets(source, parsed, positions)
    if "rgb" in source.sizes:
        per, frames = source.manifest.rgb_per_snippet, source.extent.frames
        if frames == 1:
            video["rgb"] = parsed["snippet/rgb"][::per]
        else:
            stored = tf.reshape(parsed["snippet/rgb"], [-1, per])
            video["rgb"] = stored[:, :frames]  # (K, frames)
    if "flow" in source.sizes:
        video["flow"] = parsed["flow/" + source.flow]
    return video if positions is None else take(video, positions)


def _snippet_features(source: Source) -> dict:
    snippets, per = source.manifest.snippets, source.manifest.rgb_per_snippet
    features = {}
    if "rgb" in source.sizes:
        features["snippet/rgb"] = tf.io.FixedLenFeature([snippets * per], tf.string)
    if "flow" in source.sizes:
        features["flow/" + source.flow] = tf.io.FixedLenFeature([snippets], tf.string)
    return features


def _dense_features(source: Source) -> dict:
    snippets = source.manifest.snippets
    features = {"snippet/frame": tf.io.FixedLenFeature([snippets], tf.int64)}
    if source.extent.reach > _stored(source):
        features["video/frames"] = tf.io.FixedLenFeature([], tf.int64)
    every = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    if "rgb" in source.sizes:
        features["frame/rgb"] = every
    if "flow" in source.sizes:
        features["frame/flow/" + source.flow] = every
    return features


def _stored(source: Source) -> int:
    """Frames in a row that a snippet's stored position was chosen for."""
    return Extent.stored(source.manifest.preparation).reach


def _dense_snippets(
    source: Source, parsed: dict, positions: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Cut snippets out of all frames and pairs: those from p on, see `Extent`."""
    starts, extent, frames = parsed["snippet/frame"], source.extent, None
    stored = _stored(source)
    if positions is not None:  # of a long snippet's images few copies are made
        starts = tf.gather(starts, positions)
    if extent.reach > stored:
        frames = parsed["video/frames"]
        places = tf.maximum(frames - extent.reach, 0) + 1
        starts = respread(starts, places, frames - stored + 1)

    def indices(count: int, there: tf.Tensor | None) -> tf.Tensor:
        """(K, count), in a short video from its start again."""
        found = starts[:, None] + tf.range(count, dtype=tf.int64)
        return found if there is None else found % there

    video = {}
    if "rgb" in source.sizes:
        chosen = starts if extent.frames == 1 else indices(extent.frames, frames)
        video["rgb"] = tf.gather(parsed["frame/rgb"], chosen)
    if "flow" in source.sizes:
        chosen = indices(extent.pairs, None if frames is None else frames - 1)
        video["flow"] = tf.gather(parsed["frame/flow/" + source.flow], chosen)
    return video


def take(video: dict[str, tf.Tensor], positions: tf.Tensor) -> dict[str, tf.Tensor]:
    """Keep the encoded snippets at `positions`, int (T,)."""
    kept = dict(video)
    for stream in ("rgb", "flow"):
        if stream in video:
            kept[stream] = tf.gather(video[stream], positions)
    return kept
