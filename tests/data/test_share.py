"""Several readers make the one reader's batches; a resumed epoch skips what it had."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.config import PixelStageConfig
from stfn_keras.data import pipeline
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.share import WHOLE, Share, own_part, shuffled
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.training import features

SIZES = {"rgb": 12, "flow": 12}
UNMIXED = PixelStageConfig(scales=(1.0, 0.75), erase=0.5)
AUGMENT = dataclasses.replace(UNMIXED, mixup=0.4)
EVERYTHING = dataclasses.replace(UNMIXED, randaugment=2, magnitude=9.0)


@pytest.fixture
def source(dataset):
    """Twelve training videos."""
    return open_source(dataset, Manifest.load(dataset), 1, "r", "dis", SIZES)


def one_hot(inputs, label):
    return inputs, {"logits": tf.one_hot(label, 2)}


def train(source, batch=4, augment=UNMIXED, epoch=1, **part):
    return pipeline.training_batches(
        source, segments=2, batch=batch, seed=5, epoch=epoch, augment=augment,
        transform=one_hot, **part,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Cached features of twelve videos in two files; each tells its video."""
    folder, files = tmp_path_factory.mktemp("cached"), []
    for first, last in ((0, 7), (7, 12)):
        path = folder / f"{first}.npy"
        file = features.FeatureFile(path, last - first, 7, 1, 2)
        rows = np.zeros(last - first, file.record(["rgb"]))
        rows["label"] = np.arange(first, last) % 2
        grid = np.arange(14.0).reshape(1, 7, 2) / 100
        rows["rgb"] = np.arange(first, last)[:, None, None, None] + grid
        np.save(path, rows)
        files.append(file)
    return files


def train_features(cached, batch=4, epoch=1, **part):
    return features.training_features(
        cached, ("rgb",), segments=3, batch=batch, seed=5, epoch=epoch,
        targets=lambda label: ({"logits": tf.one_hot(label, 2)},), **part,
    )  # fmt: skip


def arrays(data):
    """Each batch as a list of arrays; the number of batches is as announced."""
    batches = [[t.numpy() for t in tf.nest.flatten(batch)] for batch in data]
    assert data.cardinality() == len(batches)
    return batches


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def joined(parts):
    """The batches that several readers' parts make, in the order of the readers."""
    return [
        [np.concatenate(values) for values in zip(*batch, strict=True)]
        for batch in zip(*parts, strict=True)
    ]


@pytest.mark.parametrize(("count", "augment"), [(2, EVERYTHING), (4, UNMIXED)])
def test_shares_together_are_the_one_readers_batches(source, count, augment):
    parts = [
        arrays(train(source, augment=augment, share=Share(i, count)))
        for i in range(count)
    ]
    assert {len(v) for part in parts for batch in part for v in batch} == {4 // count}
    assert_equal(joined(parts), arrays(train(source, augment=augment)))


def test_shares_of_features_together_are_the_one_readers_batches(cached):
    parts = [arrays(train_features(cached, share=Share(i, 2))) for i in range(2)]
    assert_equal(joined(parts), arrays(train_features(cached)))


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_a_resumed_epoch_goes_on_where_it_was(source, cached, start):
    """Mixup included: its draws belong to the number of the batch."""
    whole = arrays(train(source, augment=AUGMENT))
    assert_equal(arrays(train(source, augment=AUGMENT, start=start)), whole[start:])
    whole = arrays(train_features(cached, mixup=0.4))
    assert_equal(arrays(train_features(cached, mixup=0.4, start=start)), whole[start:])


def test_a_resumed_share_goes_on_where_it_was(source, cached):
    part = {"share": Share(1, 2)}
    assert_equal(
        arrays(train(source, augment=AUGMENT, start=2, **part)),
        arrays(train(source, augment=AUGMENT, **part))[2:],
    )
    assert_equal(
        arrays(train_features(cached, mixup=0.4, start=2, **part)),
        arrays(train_features(cached, mixup=0.4, **part))[2:],
    )


def test_only_a_readers_own_part_is_decoded(source, monkeypatch):
    decoded = []
    look = pipeline.look

    def note(name):
        decoded.append(name)
        return np.False_

    def counting(source, video, *rest):
        noted = tf.numpy_function(note, [video["id"]], tf.bool)
        with tf.control_dependencies([noted]):
            return look(source, {**video, "rgb": tf.identity(video["rgb"])}, *rest)

    monkeypatch.setattr(pipeline, "look", counting)
    seen = []
    for share in (Share(0, 2), Share(1, 2)):
        list(train(source, batch=6, share=share, start=1))
        seen.append(set(decoded))
        assert len(decoded) == len(seen[-1]) == 3
        decoded.clear()
    assert not seen[0] & seen[1]


def test_the_only_batch_is_shared_too(source):
    """Fewer videos than a batch, and not as many for each reader."""
    source = dataclasses.replace(
        source, only=frozenset(f"clip {n}.avi" for n in range(7))
    )
    parts = [arrays(train(source, batch=30, share=Share(i, 3))) for i in range(3)]
    assert [len(part[0][0]) for part in parts] == [2, 2, 3]
    assert_equal(joined(parts), arrays(train(source, batch=30)))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_view_is_seen_by_one_reader(dataset, count):
    source = open_source(dataset, Manifest.load(dataset), 1, "e", "dis", SIZES)

    def ids(**share):
        data = pipeline.view_batches(
            source, segments=2, samplings=1, crops=2, batch=3, **share
        )
        found = [about["id"].numpy().tolist() for _, about in data]
        assert data.cardinality() == len(found)
        return sum(found, [])

    whole, parts = ids(), [ids(share=Share(i, count)) for i in range(count)]
    for index, part in enumerate(parts):
        assert part == [v for k, v in enumerate(whole) if k // 2 % count == index]


def test_every_validation_feature_is_seen_by_one_reader(cached):
    def seen(**share):
        data = features.validation_features(
            cached[0], ("rgb",), segments=1, batch=2, targets=lambda label: (label,),
            **share,
        )  # fmt: skip
        return [round(float(v)) for x, _ in data for v in x["rgb_features"][:, 0, 0]]

    assert seen() == list(range(7))
    assert [seen(share=Share(i, 3)) for i in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]


def test_batches_that_cannot_be_parted_are_refused(source, cached):
    for batches in (
        lambda: train(source, batch=4, share=Share(0, 3)),
        lambda: train_features(cached, batch=4, share=Share(0, 3)),
    ):
        with pytest.raises(UserError, match=r"multiple of the 3 readers.*Received: 4"):
            batches()
    with pytest.raises(UserError, match=r"24 readers .*Received: 12"):
        train(source, batch=24, share=Share(0, 24))


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_share_that_is_none_is_refused(index, count):
    with pytest.raises(ValueError, match="share's index"):
        Share(index, count)


def test_more_batches_than_an_epoch_has_are_never_skipped(source):
    with pytest.raises(ValueError, match=r"0 to 3 batches. Received: 4"):
        train(source, start=4)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    """Workers whose global seeds differ must make parts of the same batches."""

    def order(seed=0, epoch=0):
        data = shuffled(tf.data.Dataset.range(50), 20, seed, epoch)
        return list(data.as_numpy_iterator())

    first = order()
    tf.random.set_seed(7)
    assert order() == first
    assert sorted(first) == list(range(50))
    others = [order(1), order(0, 1), order(2**32 - 1), order(2**32 - 1, 300)]
    assert len({tuple(o) for o in [first, *others]}) == 5


def test_a_record_too_many_is_an_error_behind_the_last_batch(source):
    """Batches that are dropped at an epoch's end hide nothing."""
    fewer = dataclasses.replace(source.manifest.shards[0], videos=7)
    shards = (fewer, *source.manifest.shards[1:])
    short = dataclasses.replace(
        source, manifest=dataclasses.replace(source.manifest, shards=shards)
    )
    assert short.videos == 11
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(train(short, batch=4))


def test_positions_are_parted_in_order():
    data = tf.data.Dataset.range(11)
    part = own_part(data, batch=4, batches=2, start=0, share=Share(1, 2))
    assert list(part.as_numpy_iterator()) == [2, 3, 6, 7]
    assert list(own_part(data, batch=4, batches=2, start=1, share=WHOLE)
                .as_numpy_iterator()) == [4, 5, 6, 7]  # fmt: skip
