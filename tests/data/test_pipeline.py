"""The input pipeline: every video once, drawn snippets, seeded draws."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.config import PixelStageConfig
from stfn_keras.data import pipeline
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.sampling import segment_bounds
from stfn_keras.data.source import open_source, parse, take
from stfn_keras.data.stream import SHARDS_AT_ONCE, records
from stfn_keras.errors import UserError
from stfn_keras.video import view

SIZES = {"rgb": 16, "flow": 12}


def open_role(folder, role, sizes=SIZES, **changes):
    manifest = dataclasses.replace(Manifest.load(folder), **changes)
    return open_source(folder, manifest, 1, role, "dis", sizes)


PLAIN = PixelStageConfig(scales=(1.0, 0.75))
ALL = dataclasses.replace(PLAIN, randaugment=2, magnitude=9.0, erase=0.5, mixup=0.4)


def train(source, epoch=0, seed=0, batch=4, augment=PLAIN):
    return pipeline.training_batches(
        source, segments=3, batch=batch, seed=seed, epoch=epoch, augment=augment,
        transform=lambda inputs, label: (inputs, label),
    )  # fmt: skip


def train_one_hot(source, epoch=0, augment=ALL):
    return pipeline.training_batches(
        source, segments=3, batch=4, seed=0, epoch=epoch, augment=augment,
        transform=lambda inputs, label: (inputs, {"logits": tf.one_hot(label, 2)}),
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_test_video_is_counted_once(dataset, batch):
    source = open_role(dataset, "e")
    data = pipeline.view_batches(source, segments=3, samplings=1, crops=1, batch=batch)
    ids = np.concatenate([about["id"].numpy() for _, about in data])
    assert len(ids) == len(set(ids)) == source.videos == 5


def test_views_of_a_video_are_samplings_times_crops(dataset):
    source = open_role(dataset, "e")
    data = pipeline.view_batches(source, segments=3, samplings=2, crops=10, batch=7)
    ids = np.concatenate([about["id"].numpy() for _, about in data])
    assert [len(set(ids[i : i + 20])) for i in range(0, 100, 20)] == [1] * 5
    assert len(ids) == 100


def test_shapes_and_types(dataset):
    inputs, labels = next(iter(train(open_role(dataset, "r"))))
    assert inputs["rgb"].shape == (4, 3, 16, 16, 3)
    assert inputs["flow"].shape == (4, 3, 12, 12, 4)
    assert inputs["rgb"].dtype == inputs["flow"].dtype == tf.uint8
    assert labels.shape == (4,)


def test_one_snippet_from_every_segment(dataset):
    source = open_role(dataset, "r", {"flow": 12})
    for inputs, _ in train(source):
        codes = inputs["flow"].numpy()[..., 1]
        assert (np.diff(codes.astype(int).mean(axis=(2, 3)), axis=1) > 2).all()


def test_same_seed_same_epoch_same_batches(dataset):
    source = open_role(dataset, "r")
    once, again, later, other = (
        [i["flow"].numpy() for i, _ in train(source, epoch, seed)]
        for epoch, seed in ((1, 5), (1, 5), (2, 5), (1, 6))
    )
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(once, later, strict=True))
    assert any((a != b).any() for a, b in zip(once, other, strict=True))


def test_an_epoch_has_every_training_video_at_most_once(dataset):
    source = open_role(dataset, "r")
    data = train(source, batch=12)
    assert data.cardinality() == 1
    (labels,) = (label.numpy() for _, label in data)
    assert sorted(labels) == [0] * 6 + [1] * 6


def test_a_batch_larger_than_the_data_is_the_only_batch(dataset):
    (batch,) = train(open_role(dataset, "r"), batch=500)
    assert len(batch[1]) == 12


def test_flips_negate_u_in_the_pipeline(dataset):
    source = open_role(dataset, "r", {"flow": 12})
    signs = set()
    for epoch in range(3):
        for inputs, labels in train(source, epoch):
            u = inputs["flow"].numpy()[..., 0].astype(int).mean(axis=(1, 2, 3)) - 128
            signs |= set(zip(np.sign(u), labels.numpy(), strict=True))
    assert signs == {(-1, 0), (1, 0), (-1, 1), (1, 1)}
    source = open_role(dataset, "r", {"flow": 12}, flip=False)
    signs = set()
    for epoch in range(3):
        for inputs, labels in train(source, epoch):
            u = inputs["flow"].numpy()[..., 0].astype(int).mean(axis=(1, 2, 3)) - 128
            signs |= set(zip(np.sign(u), labels.numpy(), strict=True))
    assert signs == {(-1, 0), (1, 1)}


def test_mirrored_crops_are_refused_where_a_mirror_changes_the_class(dataset):
    source = open_role(dataset, "e", flip=False)
    with pytest.raises(UserError, match="--noflip"):
        pipeline.view_batches(source, segments=3, samplings=1, crops=10, batch=4)


def test_unoffered_crops_are_refused_before_reading(dataset):
    with pytest.raises(UserError, match=r"^crops, the C of --views=SxC.*Received: 7"):
        pipeline.view_batches(
            open_role(dataset, "e"), segments=3, samplings=1, crops=7, batch=4
        )


def test_wrong_split_flow_and_role_are_refused(dataset):
    manifest = Manifest.load(dataset)
    with pytest.raises(UserError, match="--split must be 1 to 1"):
        open_source(dataset, manifest, 2, "r", "dis", SIZES)
    with pytest.raises(UserError, match=r"hold the flow dis.*--flow=tvl1"):
        open_source(dataset, manifest, 1, "r", "tvl1", SIZES)
    with pytest.raises(UserError, match="no unused"):
        open_source(dataset, manifest, 1, "u", "dis", SIZES)


def test_a_shard_cut_at_a_record_boundary_is_an_error(dataset, tmp_path):
    """The reader gives no error at a boundary; the count does."""
    folder = tmp_path / "cut"
    shutil.copytree(dataset, folder)
    shard = next(s for s in Manifest.load(folder).shards if s.roles == "e")
    records = list(
        tf.data.TFRecordDataset(str(folder / shard.file)).as_numpy_iterator()
    )
    with tf.io.TFRecordWriter(str(folder / shard.file)) as writer:
        for record in records[:-1]:
            writer.write(record)
    with pytest.raises(UserError, match=shard.file):
        Manifest.load(folder).verify(folder, full=False)
    data = pipeline.view_batches(
        open_role(folder, "e"), segments=3, samplings=1, crops=1, batch=2
    )
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(data)


def test_encoded_batches_keep_the_order_of_the_views(dataset):
    source = open_role(dataset, "e")
    views = pipeline.view_batches(source, segments=3, samplings=1, crops=1, batch=2)
    encoded = pipeline.encoded_batches(source, segments=3, batch=2)
    for (_, about), bundle in zip(views, encoded, strict=True):
        assert (about["id"] == bundle["id"]).numpy().all()
        assert bundle["rgb"].shape[1] == 3


def plain_batch(source, epoch=0, seed=0):
    """The only batch of an epoch, without what came after crops and mirror images."""
    bounds = segment_bounds(source.manifest.snippets, 3)
    order = np.random.default_rng([seed, epoch]).permutation(len(source.files))
    fold = tf.random.experimental.stateless_fold_in
    seeds = tf.constant([seed, epoch], tf.int64)
    drawn = []
    for index, record in records(source, order, cycle=SHARDS_AT_ONCE).enumerate():
        state = fold(seeds, index)
        video = parse(source, record)
        video = take(video, pipeline.draw_positions(bounds, state))
        shape = video["height"], video["width"]
        crop = view.random_crop(*shape, fold(state, 1), PLAIN.scales, True)
        drawn.append(pipeline.look(source, video, [crop], 3))
    return {key: np.concatenate([v[key] for v in drawn]) for key in ("rgb", "flow")}


def rows(images):
    """The videos of a batch in an order of their own."""
    return sorted(np.asarray(video).tobytes() for video in images)


def test_without_augmentation_batches_are_what_they_always_were(dataset):
    source = open_role(dataset, "r")
    ((found, _),) = train(source, batch=12)
    expected = plain_batch(source)
    for stream, images in found.items():
        assert rows(images) == rows(expected[stream])


@pytest.mark.parametrize("setting", ["randaugment", "erase", "mixup"])
def test_each_augmentation_changes_both_streams_of_the_batches(dataset, setting):
    source = open_role(dataset, "r")
    augment = dataclasses.replace(PLAIN, **{setting: getattr(ALL, setting)})
    augmented = list(train_one_hot(source, augment=augment))
    for stream in ("rgb", "flow"):
        plain = train_one_hot(source, augment=PLAIN)
        assert any(
            (a[stream] != b[stream]).numpy().any()
            for (a, _), (b, _) in zip(augmented, plain, strict=True)
        )


def test_augmented_batches_keep_shapes_types_and_their_number(dataset):
    data = train_one_hot(open_role(dataset, "r"))
    assert data.cardinality() == 3
    for inputs, labels in data:
        assert inputs["rgb"].shape == (4, 3, 16, 16, 3)
        assert inputs["flow"].shape == (4, 3, 12, 12, 4)
        assert inputs["rgb"].dtype == inputs["flow"].dtype == tf.uint8
        np.testing.assert_allclose(tf.reduce_sum(labels["logits"], 1), 1.0, atol=1e-6)
    assert data.element_spec[0]["rgb"].shape[1:] == (3, 16, 16, 3)


def test_augmented_batches_are_fixed_by_seed_and_epoch(dataset):
    source = open_role(dataset, "r")
    once, again, later = (list(train_one_hot(source, epoch)) for epoch in (1, 1, 2))
    for (a, la), (b, lb) in zip(once, again, strict=True):
        np.testing.assert_array_equal(a["rgb"], b["rgb"])
        np.testing.assert_array_equal(a["flow"], b["flow"])
        np.testing.assert_array_equal(la["logits"], lb["logits"])
    assert any(
        (a["rgb"] != b["rgb"]).numpy().any()
        for (a, _), (b, _) in zip(once, later, strict=True)
    )


def test_one_stream_gets_what_it_gets_beside_the_other(dataset):
    """The two towers' stages see the same draws: crops, operations, partners."""
    both = list(train_one_hot(open_role(dataset, "r")))
    for stream in ("rgb", "flow"):
        source = open_role(dataset, "r", {stream: SIZES[stream]})
        for (alone, _), (beside, _) in zip(train_one_hot(source), both, strict=True):
            np.testing.assert_array_equal(alone[stream], beside[stream])


def test_unmirrored_data_stay_unmirrored_under_augmentation(dataset):
    """With --noflip left stays left: no operation turns a motion's direction about."""
    augment = dataclasses.replace(ALL, mixup=0.0, erase=0.0)
    signs = set()
    for epoch in range(4):
        source = open_role(dataset, "r", {"flow": 12}, flip=False)
        for inputs, labels in train(source, epoch, augment=augment):
            codes = inputs["flow"].numpy()[..., 0].astype(int) - 128
            u = codes.sum(axis=(1, 2, 3))
            signs |= set(zip(np.sign(u), labels.numpy(), strict=True))
    assert signs == {(-1, 0), (1, 1)}
