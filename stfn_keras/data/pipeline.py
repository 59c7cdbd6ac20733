"""The input pipeline: TFRecord shards -> batches of uint8 views (tf.data).

    source = open_source(folder, manifest, split=1, role="r", flow="dis",
                         sizes={"rgb": 224, "flow": 224})
    train = training_batches(source, segments=7, batch=16, ...)
    test = view_batches(source, segments=7, samplings=1, crops=10, batch=32)

Only the drawn snippets are decoded, and shuffle buffers hold encoded snippets.
The order of videos and every draw are functions of (seed, epoch).
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from stfn_keras.config import PixelStageConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.mixing import mixed_batches
from stfn_keras.data.sampling import fixed_positions, segment_bounds
from stfn_keras.data.share import WHOLE, Share, own_part, shuffled
from stfn_keras.data.source import Source, parse, take
from stfn_keras.data.stream import SHARDS_AT_ONCE, records
from stfn_keras.errors import UserError
from stfn_keras.video import mosaic, view
from stfn_keras.video.augment import augmented
from stfn_keras.video.joined import joined_frames

SHUFFLE_BUFFER = 512  # videos, as encoded drawn snippets
PARALLEL = tf.data.AUTOTUNE  # calls at a time; measured: docs/input.md


def look(
    source: Source, video: dict[str, tf.Tensor], crops: list[tf.Tensor], segments: int
) -> dict[str, tf.Tensor]:
    """Decode a video's snippets once and take crops of both streams alike.

    Args:
        source: What is read.
        video: A parsed video that keeps T snippets.
        crops: C crops, each int32 (5,); see `stfn_keras.video.view`.
        segments: T.

    Returns:
        `rgb` uint8 (C, T, H, W, 3 frames) and `flow` uint8 (C, T, H2, W2, 2L), those
        in use.
    """
    views, sizes = {}, source.sizes
    if "rgb" in video:
        frames, size = view.decode_frames(video["rgb"]), sizes["rgb"]
        each = source.extent.frames
        views["rgb"] = [
            joined_frames(view.crop_rgb(frames, crop, size), each) for crop in crops
        ]
    if "flow" in video:
        stored = video["flow"], video["height"], video["width"], source.pairs
        if len(crops) == 1:
            views["flow"] = [view.cropped_flows(*stored, crops[0], sizes["flow"])]
        else:
            codes = view.decode_flows(*stored)
            views["flow"] = [view.crop_flow(codes, c, sizes["flow"]) for c in crops]
    return {
        key: tf.stack([tf.ensure_shape(v, [segments, *v.shape[1:]]) for v in values])
        for key, values in views.items()
    }


def draw_positions(bounds: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """One random snippet in each of T segments; int32 (T,).

    Args:
        bounds: From `segment_bounds`, (T + 1,).
        seed: int (2,).
    """
    draws = tf.random.stateless_uniform([len(bounds) - 1], seed)
    lengths = tf.constant(np.diff(bounds), tf.float32)
    offsets = tf.minimum(tf.floor(draws * lengths), lengths - 1.0)
    return tf.constant(bounds[:-1], tf.int32) + tf.cast(offsets, tf.int32)


def counted(data: tf.data.Dataset, batches: int) -> tf.data.Dataset:
    """Say how many batches there are; fewer or more in the shards is an error.

    Keras must know: on a dataset of unknown length its `fit` counts one step too
    many, which lowers the epoch's averages and moves the rate schedule on.
    """
    return data.apply(tf.data.experimental.assert_cardinality(batches))


def training_batches(
    source: Source,
    *,
    segments: int,
    batch: int,
    seed: int,
    epoch: int,
    augment: PixelStageConfig,
    transform: Callable[[dict, tf.Tensor], tuple],
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """One epoch of training batches: random snippets, crops, mirror images and more.

    Args:
        source: The training shards.
        segments: Segments T drawn per video.
        batch: Videos per batch. A last, smaller batch is dropped unless it is the
            only one: batch statistics of a few videos do harm.
        seed: Seed of the run.
        epoch: Number of the epoch; with `seed` it fixes every draw.
        augment: The stage's `scales`, `randaugment`, `magnitude`, `erase` and `mixup`;
            the rest of its settings is not read.
        transform: Maps (inputs, label) of one video to what the network is fitted on:
            (inputs, labels) or (inputs, labels, weights), dicts where mixup is on.
        start: Batches of the epoch that are skipped, undecoded.
        share: The part of every batch that is made here. All readers' parts together
            are the one reader's batches, but that mixup blends within a part.

    Returns:
        Batches of `transform`'s results; inputs uint8 (videos, T, H, W, C): `batch`
        videos, or as many as the share has of them.

    Raises:
        UserError: The readers cannot part the batches evenly.
    """
    share.check_divides(batch)
    batch = min(batch, source.videos)
    batches = source.videos // batch
    bounds = segment_bounds(source.manifest.snippets, segments)
    flip = source.manifest.flip
    order = np.random.default_rng([seed, epoch]).permutation(len(source.files))
    # Seeds of distinct videos and epochs never meet: one counter per video and draw.
    seeds = tf.constant([seed, epoch], tf.int64)

    def drawn(index: tf.Tensor, record: tf.Tensor) -> tuple[dict, tf.Tensor]:
        state = tf.random.experimental.stateless_fold_in(seeds, index)
        return parse(source, record, draw_positions(bounds, state)), state

    def decoded(video: dict, state: tf.Tensor) -> tuple:
        crop = view.random_crop(
            video["height"],
            video["width"],
            tf.random.experimental.stateless_fold_in(state, 1),
            augment.scales,
            flip,
        )
        views = look(source, video, [crop], segments)
        inputs = augmented(
            {stream: images[0] for stream, images in views.items()},
            tf.random.experimental.stateless_fold_in(state, 2),
            operations=augment.randaugment,
            magnitude=augment.magnitude,
            erase=augment.erase,
        )
        return transform(inputs, video["label"])

    data = counted(records(source, order, cycle=SHARDS_AT_ONCE), source.videos)
    data = data.enumerate().map(drawn, num_parallel_calls=PARALLEL)
    data = shuffled(data, min(SHUFFLE_BUFFER, source.videos), seed, epoch)
    data = own_part(data, batch=batch, batches=batches, start=start, share=share)
    data = data.map(decoded, num_parallel_calls=PARALLEL)
    data = data.batch(share.videos_of_batch(batch), drop_remainder=True)
    data = mixed_batches(data, augment.mixup, seed, epoch, start, share)
    return counted(data, batches - start).prefetch(tf.data.AUTOTUNE)


def check_crops(manifest: Manifest, crops: int) -> None:
    """Refuse a number of test crops that is not offered for the data.

    Raises:
        UserError: It is none of those offered, or they are mirror images of data that
            must not be mirrored.
    """
    view.check_crop_count(crops)
    if crops in (2, 10) and not manifest.flip:
        raise UserError(
            f"the data were prepared with --noflip, so {crops} crops, half of them "
            "mirror images, are refused: use 1 or 5"
        )


def view_batches(
    source: Source,
    *,
    segments: int,
    samplings: int,
    crops: int,
    batch: int,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Every view of every video once, in the order of the shards.

    Args:
        source: The shards to read.
        segments: Segments T of one view.
        samplings: Samplings S of the segments per video.
        crops: Crops C per sampling.
        batch: Views per batch; the last batch may be smaller.
        start: Videos that are skipped, undecoded.
        share: Of n readers, reader i sees the videos i, i + n, i + 2n, ... of the
            others alone, in batches of its own.

    Returns:
        Batches of (inputs, {`id`, `label`}); S x C consecutive views per video.

    Raises:
        UserError: `crops` is not offered, or it mirrors data that must not be.
    """
    check_crops(source.manifest, crops)
    positions = fixed_positions(source.manifest.snippets, segments, samplings)

    every = positions.reshape(-1)  # (S x T,)
    places = np.arange(len(every)).reshape(positions.shape)

    def samplings_of(record: tf.Tensor) -> tf.data.Dataset:
        video = parse(source, record, every)
        chosen = tf.data.Dataset.from_tensor_slices(places)
        return chosen.map(lambda position: take(video, position))

    def crops_of(video: dict[str, tf.Tensor]) -> tuple[dict, dict]:
        boxes = view.fixed_crops(video["height"], video["width"], crops)
        inputs = look(source, video, tf.unstack(boxes, num=crops), segments)
        about = {key: tf.repeat(video[key], crops) for key in ("id", "label")}
        return inputs, about

    data = counted(records(source), source.videos).skip(start)
    data = data.shard(share.count, share.index).flat_map(samplings_of)
    data = data.map(crops_of, num_parallel_calls=PARALLEL)
    data = data.unbatch().batch(batch)
    views = share.of_videos(source.videos - start) * samplings * crops
    return counted(data, -(-views // batch)).prefetch(tf.data.AUTOTUNE)


def encoded_batches(source: Source, *, segments: int, batch: int) -> tf.data.Dataset:
    """Every video once, its centre snippets still encoded.

    Returns:
        Batches of {`id`, `label`, `height`, `width`, `rgb`, `flow`}: the last two
        are strings (batch, T x frames) and (batch, T), those in use. A dense dataset's
        one-pair mosaics are joined to one per snippet without decoding
        (`stfn_keras.video.mosaic`).
    """
    positions = fixed_positions(source.manifest.snippets, segments, 1)[0]

    def centre(record: tf.Tensor) -> dict[str, tf.Tensor]:
        video = parse(source, record, positions)
        if "rgb" in video:
            video["rgb"] = tf.reshape(video["rgb"], [segments * source.extent.frames])
        if "flow" in video and source.manifest.layout == "dense":
            joined = tf.numpy_function(_join_pairs, [video["flow"]], tf.string)
            video["flow"] = tf.ensure_shape(joined, [segments])
        return video

    data = records(source)
    return data.map(centre).batch(batch)


def _join_pairs(jpegs: np.ndarray) -> np.ndarray:
    """One mosaic per snippet, (T,), from one-pair mosaics (T, L), bit for bit."""
    return np.array([mosaic.join(list(pairs)) for pairs in jpegs], object)
