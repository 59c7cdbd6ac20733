"""Weights go exactly where they belong, or a sentence says why not."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import (
    TOWERS,
    build,
    build_head,
    build_tower,
    copy_by_name,
    freeze,
    load_tower_weights,
)

CONFIG = ModelConfig(tower="tiny", rgb_size=32, segments=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")


@pytest.fixture
def rgb_file(tmp_path):
    """A trained-looking RGB tower and the file with its weights."""
    tower = build_tower(CONFIG, "rgb")
    random = np.random.default_rng(1)
    for weight in tower.weights:
        weight.assign(random.uniform(0.1, 1.0, weight.shape))
    path = str(tmp_path / "rgb.weights.h5")
    tower.save_weights(path)
    return tower, path


def values(model: keras.Model) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.weights]


def same(first: keras.Model, second: keras.Model) -> bool:
    return all(map(np.array_equal, values(first), values(second)))


@pytest.mark.parametrize("source", [None, "none"])
def test_no_source_keeps_the_weights(source):
    tower = build_tower(CONFIG, "rgb")
    before = values(tower)
    load_tower_weights(tower, "rgb", CONFIG, source)
    assert all(map(np.array_equal, values(tower), before))


def test_rgb_from_file(rgb_file):
    saved, path = rgb_file
    tower = build_tower(CONFIG, "rgb")
    load_tower_weights(tower, "rgb", CONFIG, path)
    assert same(tower, saved)


def test_cross_modality(rgb_file):
    """Equal channels give 10 / 3 times the response of a gray image."""
    saved, path = rgb_file
    tower = build_tower(CONFIG, "flow")
    load_tower_weights(tower, "flow", CONFIG, path)
    kernel = np.array(tower.get_layer("conv1").kernel)
    mean = np.mean(saved.get_layer("conv1").kernel, axis=2)
    assert kernel.shape == (3, 3, 10, 16)
    for channel in range(10):
        np.testing.assert_allclose(kernel[:, :, channel], mean, rtol=1e-6)

    gray = np.random.default_rng(0).random((1, 32, 32, 1), "float32")
    rgb = saved.get_layer("conv1")(np.repeat(gray, 3, axis=-1))
    flow = tower.get_layer("conv1")(np.repeat(gray, 10, axis=-1))
    np.testing.assert_allclose(flow, np.array(rgb) * 10 / 3, rtol=1e-4)
    for name in ("bn1", "conv2", "bn4"):
        ours, theirs = tower.get_layer(name), saved.get_layer(name)
        assert all(map(np.array_equal, ours.get_weights(), theirs.get_weights()))


def test_flow_file_loads_as_it_is(tmp_path):
    saved, tower = (build_tower(CONFIG, "flow") for _ in range(2))
    saved.save_weights(tmp_path / "flow.weights.h5")
    load_tower_weights(tower, "flow", CONFIG, str(tmp_path / "flow.weights.h5"))
    assert same(tower, saved)


def test_flow_file_of_other_pairs(tmp_path):
    build_tower(CONFIG, "flow").save_weights(tmp_path / "flow.weights.h5")
    config = dataclasses.replace(CONFIG, pairs=10)
    tower = build_tower(config, "flow")
    before = values(tower)
    with pytest.raises(UserError, match=r"\(3, 3, 20, 16\).*Received.*\(3, 3, 10, 16"):
        load_tower_weights(tower, "flow", config, str(tmp_path / "flow.weights.h5"))
    assert all(map(np.array_equal, values(tower), before))


def test_older_format(rgb_file, tmp_path):
    """The format of the files that keras.applications downloads."""
    saved, _ = rgb_file
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [f"any_{i}" for i in range(len(saved.layers))]
        for number, layer in enumerate(saved.layers):
            group = file.create_group(f"any_{number}")
            names = [f"any_{number}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = names
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group[name] = weight
    tower = build_tower(CONFIG, "rgb")
    load_tower_weights(tower, "rgb", CONFIG, str(tmp_path / "old.h5"))
    assert same(tower, saved)

    mobile = ModelConfig(tower="mobilenet_v2", rgb_size=32)
    with pytest.raises(UserError, match="Expected 104 layers.*old.h5 with 8"):
        load_tower_weights(
            build_tower(mobile, "rgb"), "rgb", mobile, str(tmp_path / "old.h5")
        )


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="There is none at: .*absent.weights.h5"):
        load_tower_weights(
            build_tower(CONFIG, "rgb"),
            "rgb",
            CONFIG,
            str(tmp_path / "absent.weights.h5"),
        )


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n cut"])
def test_not_a_weights_file(tmp_path, content):
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match="Expected a Keras weights file.*bad.weights.h5"
    ):
        load_tower_weights(build_tower(CONFIG, "rgb"), "rgb", CONFIG, str(path))


def test_other_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.zeros(3)
    with pytest.raises(UserError, match="an HDF5 file without them"):
        load_tower_weights(
            build_tower(CONFIG, "rgb"), "rgb", CONFIG, str(tmp_path / "other.h5")
        )


def test_file_of_another_tower(rgb_file):
    config = ModelConfig(tower="mobilenet_v2", rgb_size=32)
    tower = build_tower(config, "rgb")
    with pytest.raises(UserError, match="--tower=mobilenet_v2.*Missing: batchnorm"):
        load_tower_weights(tower, "rgb", config, rgb_file[1])


def test_file_with_a_classifier(tmp_path):
    """Keras itself would load such a file and ignore what is left over."""
    tower = build_tower(CONFIG, "rgb")
    path = str(tmp_path / "top.weights.h5")
    top = keras.layers.Dense(5)(tower.output)
    keras.Model(tower.input, top).save_weights(path)
    with pytest.raises(UserError, match="no classifier.*Unknown: dense:0"):
        load_tower_weights(tower, "rgb", CONFIG, path)


def test_truncated_arrays(rgb_file):
    tower, path = rgb_file
    with h5py.File(path, "a") as file:
        del file["layers/batch_normalization_3/vars/3"]
    with pytest.raises(UserError, match=r"layer batchnormalization:3 \(bn4\)"):
        load_tower_weights(tower, "rgb", CONFIG, path)


@pytest.mark.parametrize("name", ["tiny", "efficientnet_lite0"])
def test_towers_that_keras_has_no_weights_for(name):
    config = ModelConfig(tower=name, rgb_size=32)
    with pytest.raises(UserError, match=f"--tower={name}.*--rgb_weights=FILE"):
        load_tower_weights(build_tower(config, "rgb"), "rgb", config, "imagenet")


def test_failed_download(monkeypatch):
    def application(**_):
        raise Exception("URL fetch failure:\n no route")  # as Keras raises it

    entry = dataclasses.replace(TOWERS["tiny"], application=application)
    monkeypatch.setitem(TOWERS, "tiny", entry)
    with pytest.raises(UserError, match="failure: no route.*--rgb_weights=FILE"):
        load_tower_weights(build_tower(CONFIG, "rgb"), "rgb", CONFIG, "imagenet")


def test_imagenet_is_assigned_layer_by_layer(monkeypatch):
    published = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )

    def application(**options):
        assert options["weights"] == "imagenet" and not options["include_top"]
        return published

    entry = dataclasses.replace(TOWERS["mobilenet_v2"], application=application)
    monkeypatch.setitem(TOWERS, "mobilenet_v2", entry)
    config = ModelConfig(tower="mobilenet_v2", rgb_size=32)
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, "imagenet")
    assert same(tower, published)


@pytest.mark.real
@pytest.mark.parametrize("name", ["mobilenet_v2", "inception_v3"])
def test_real_files_load_as_keras_loads_them(real_data, name):
    """The same features as the tower of keras.applications itself, scaled by hand."""
    path = str(real_data / f"weights/{name}_nsfwjs440_notop.weights.h5")
    config = ModelConfig(tower=name, rgb_size=96)
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, path)
    reference = TOWERS[name].application(
        include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg"
    )
    reference.load_weights(path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), "uint8")
    expected = reference(pixels.astype("float32") / 127.5 - 1)
    assert np.any(expected)
    np.testing.assert_allclose(tower(pixels), expected, rtol=1e-3, atol=1e-4)


def test_freeze_a_fraction():
    tower = build_tower(CONFIG, "rgb")
    freeze(tower, 0.5, partial_batchnorm=False)
    paths = [weight.path.split("/", 1)[1] for weight in tower.trainable_weights]
    assert paths == [
        f"{layer}/{weight}"
        for layer, weights in (
            ("conv3", ["kernel"]),
            ("bn3", ["gamma", "beta"]),
            ("conv4", ["kernel"]),
            ("bn4", ["gamma", "beta"]),
        )
        for weight in weights
    ]


def test_partial_batchnorm():
    tower = build_tower(CONFIG, "rgb")
    freeze(tower, 0.0, partial_batchnorm=True)
    names = [weight.path.split("/")[1] for weight in tower.trainable_weights]
    assert names == ["conv1", "bn1", "bn1", "conv2", "conv3", "conv4"]


def test_freeze_all_and_again_none():
    tower = build_tower(CONFIG, "rgb")
    freeze(tower, 1.0, partial_batchnorm=True)
    assert not tower.trainable_weights
    freeze(tower, 0.0, partial_batchnorm=False)
    assert len(tower.trainable_weights) == 4 * 3


def test_freezing_holds_inside_a_network():
    """Neither weights nor statistics of frozen layers change in training."""
    config = dataclasses.replace(CONFIG, network="spatial")
    model = build(config, classes=2)
    tower = model.get_layer("rgb_features").layer
    freeze(tower, 0.5, partial_batchnorm=True)
    before = {weight.path: np.array(weight) for weight in tower.weights}
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
    )
    x = np.repeat(PIXELS[:, None], 3, axis=1)
    model.fit({"rgb": x}, {"logits": np.array([0, 1])}, epochs=1, verbose=0)
    changed = {
        weight.path.split("/", 1)[1]
        for weight in tower.weights
        if not np.array_equal(before[weight.path], weight)
    }
    assert changed == {"conv3/kernel", "conv4/kernel"}


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_freeze_refuses_other_fractions(fraction):
    with pytest.raises(UserError, match="must be 0 to 1. Received"):
        freeze(build_tower(CONFIG, "rgb"), fraction, partial_batchnorm=False)


def test_copy_a_tower_into_a_network(rgb_file):
    saved, _ = rgb_file
    model = build(CONFIG, classes=5)
    tower = model.get_layer("rgb_features").layer
    assert copy_by_name(saved, tower) == [
        f"{x}{i}" for i in range(1, 5) for x in ("conv", "bn")
    ]
    assert same(saved, tower)


def test_copy_between_networks_sees_through_wrappers():
    source, target = (build(CONFIG, classes=5) for _ in range(2))
    copied = copy_by_name(source, target)
    assert {"rgb_features", "flow_features", "fusion_2", "flow_logits"} <= set(copied)
    assert same(source, target)


def test_copy_refuses_other_shapes_and_changes_nothing():
    source = build_head(CONFIG, 5, features=8)
    target = build_head(CONFIG, 6, features=8)
    before = values(target)
    with pytest.raises(UserError, match=r"\(8, 6\).*_logits'. Received: .*\(8, 5\)"):
        copy_by_name(source, target)
    assert all(map(np.array_equal, values(target), before))


def test_copy_refuses_another_tower():
    mobile = dataclasses.replace(CONFIG, tower="mobilenet_v2", network="spatial")
    source = build(dataclasses.replace(CONFIG, network="spatial"), 5)
    with pytest.raises(UserError, match="the same layers inside 'rgb_features'"):
        copy_by_name(source, build(mobile, 5))


def test_copy_refuses_models_with_nothing_in_common():
    with pytest.raises(UserError, match="share no layer with weights"):
        copy_by_name(build_head(CONFIG, 5, 8), build_tower(CONFIG, "rgb"))
