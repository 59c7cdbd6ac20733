"""The feature cache: as the towers give it, resumable, and drawn a batch at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.training import features
from stfn_keras.video.extent import Extent

SNIPPETS, SIZE = 7, 5


class Tower:
    """Five means of the pixels, as a tower's features; may be killed."""

    def __init__(self, dies_at=None):
        self.calls, self.dies_at = 0, dies_at

    def predict_on_batch(self, images):
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        rows = tf.reduce_mean(tf.cast(images, tf.float32), [2, 3])
        return rows[:, :SIZE].numpy() / 100.0


@pytest.fixture
def source(dataset):
    """Twelve training videos."""
    sizes = {"rgb": 12, "flow": 12}
    return open_source(dataset, Manifest.load(dataset), 1, "r", "dis", sizes)


def cache(source, path, towers=None, views=2):
    towers = towers or {"rgb": Tower(), "flow": Tower()}
    return features.cache_features(lambda: towers, SIZE, source, path, views, "test")


@pytest.fixture
def cached(source, tmp_path):
    return cache(source, tmp_path / "r.npy")


def test_features_are_those_of_every_view(source, cached):
    records = cached.load()
    assert records.shape == (12,)
    assert records["rgb"].shape == (12, 2, SNIPPETS, SIZE)
    data = view_batches(source, segments=1, samplings=SNIPPETS, crops=2, batch=14)
    tower = Tower()
    for record, (inputs, about) in zip(records, data, strict=True):
        assert (about["label"].numpy() == record["label"]).all()
        for stream in ("rgb", "flow"):
            found = tower.predict_on_batch(inputs[stream][:, 0])
            expected = found.reshape(SNIPPETS, 2, SIZE).swapaxes(0, 1)
            np.testing.assert_array_equal(record[stream], expected.astype(np.float16))


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_killed_cache_goes_on_where_it_stopped(
    source, cached, tmp_path, monkeypatch, dies_at
):
    """Four videos at once: the kill comes after none, four or eight of them."""
    path = tmp_path / "killed" / "r.npy"
    with pytest.raises(KeyboardInterrupt):
        cache(source, path, {"rgb": Tower(), "flow": Tower(dies_at)})
    assert not path.exists()
    with path.with_suffix(".partial.npy").open("ab") as file:
        file.write(b"half a record")
    rest = {"rgb": Tower(), "flow": Tower()}
    cache(source, path, rest)
    assert rest["flow"].calls == 3 - (dies_at - 1)
    assert path.read_bytes() == cached.path.read_bytes()
    assert not path.with_suffix(".partial.npy").exists()


def test_what_is_there_is_not_computed_again(source, cached):
    def towers():
        raise AssertionError("computed again")

    again = features.cache_features(towers, SIZE, source, cached.path, 2, "test")
    assert again == cached


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_damage_is_computed_again(source, cached, suffix):
    whole = cached.path.read_bytes()
    damaged = cached.path.with_suffix(suffix)
    kept = damaged.read_bytes()
    damaged.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    cache(source, cached.path)
    assert cached.path.read_bytes() == whole
    assert damaged.read_bytes() == kept


def test_a_foreign_partial_file_is_written_over(source, cached, tmp_path):
    path = tmp_path / "other" / "r.npy"
    path.parent.mkdir()
    path.with_suffix(".partial.npy").write_bytes(cached.path.read_bytes()[:-1])
    assert cache(source, path, views=1).load()["rgb"].shape[1] == 1


def test_a_full_disk_is_one_line(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*r\.npy"):
        cache(source, tmp_path / "file" / "r.npy")


def draws(cached, **changes):
    settings = {"segments": 3, "batch": 4, "seed": 1, "epoch": 0} | changes
    return features.training_features(
        [cached], ("rgb", "flow"), targets=lambda label: (label,), **settings
    )


def test_both_streams_take_the_same_snippets_of_their_segments(cached, tmp_path):
    """The features of both streams say here which snippet and view they are of."""
    rows = np.array(cached.load())
    where = 10 * np.arange(2)[:, None] + np.arange(SNIPPETS)
    rows["rgb"] = rows["flow"] = where[..., None]
    path = tmp_path / "numbered.npy"
    np.save(path, rows)
    numbered = features.FeatureFile(path, 12, SNIPPETS, 2, SIZE)
    seen = []
    for epoch in range(5):
        for inputs, _ in draws(numbered, epoch=epoch):
            np.testing.assert_array_equal(
                inputs["rgb_features"], inputs["flow_features"]
            )
            seen.append(inputs["rgb_features"][..., 0].numpy())
    seen = np.concatenate(seen)  # (videos, T)
    assert set(seen[:, 0] // 10) == {0, 1}  # both views
    assert (seen // 10 == seen[:, :1] // 10).all()  # one for a video's segments
    for segment, snippets in enumerate(({0, 1}, {2, 3}, {4, 5, 6})):
        assert set(seen[:, segment] % 10) == snippets


def test_every_video_is_drawn_once_in_an_order_of_the_epoch(cached):
    orders = []
    for changes in ({}, {}, {"epoch": 1}, {"seed": 2}):
        labels = [label.numpy() for _, label in draws(cached, batch=12, **changes)]
        assert sorted(labels[0]) == [0] * 6 + [1] * 6
        orders.append(labels[0].tolist())
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != orders[3]


def test_validation_takes_the_centre_view_of_every_video(cached):
    data = features.validation_features(
        cached, ("flow",), segments=3, batch=5, targets=lambda label: (label,)
    )
    assert data.cardinality() == 3
    found = np.concatenate([inputs["flow_features"] for inputs, _ in data])
    np.testing.assert_array_equal(found, cached.load()["flow"][:, 0, [1, 3, 5]])


def test_shapes_are_known_to_the_graph(cached):
    inputs, labels = draws(cached).element_spec
    assert inputs["rgb_features"] == tf.TensorSpec((4, 3, SIZE), tf.float32)
    assert labels.shape == (4,)


def test_a_network_is_cached_as_it_predicts(source, tmp_path):
    pixels = keras.Input((12, 12, 3), dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D(dtype="float32")(pixels)
    tower = keras.Model(pixels, keras.layers.Rescaling(0.01)(mean))
    found = features.cache_features(
        lambda: {"rgb": tower}, 3, source, tmp_path / "r.npy", 1, "test"
    )
    assert np.isfinite(found.load()["rgb"]).all()
    assert found.load()["rgb"].std() > 0


def test_long_clips_pass_a_few_at_a_time():
    shown = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 96), "uint8")
    tower = Tower()
    found = features.pooled_features(tower, shown)
    assert tower.calls == 4  # of 96 channels two at once
    np.testing.assert_array_equal(found, Tower().predict_on_batch(shown))


def test_a_key_tells_apart_what_is_read_of_a_snippet():
    """A longer reach in dense data begins elsewhere."""
    keys = {
        features.cache_key("data", 1, "dis", {"rgb": "tower"}, 1, extent)
        for extent in (Extent(1, 5), Extent(10, 5), Extent(1, 10), Extent(1, 5))
    }
    assert len(keys) == 3
