"""ConvNeXt computes what Keras' does, from Keras' files, with flat named layers."""

import dataclasses
from functools import partial

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.convnext import ConvNeXt

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import TOWERS, build_tower, freeze, load_tower_weights
from stfn_keras.models.convnext import CHANNELS, SMALL, TINY, convnext

CONFIG = ModelConfig(tower="convnext_tiny", rgb_size=64)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
DEPTHS = (1, 1, 2, 1)


def shallow(**options) -> keras.Model:
    """Keras' own graph with fewer blocks, its preprocessing included."""
    return ConvNeXt(DEPTHS, CHANNELS, **{"pooling": "avg", **options})


@pytest.fixture
def reference(monkeypatch):
    """A shallow ConvNeXt of Keras with busy weights; ours is made as shallow."""
    entry = dataclasses.replace(
        TOWERS["convnext_tiny"],
        body=partial(convnext, depths=DEPTHS),
        application=shallow,
    )
    monkeypatch.setitem(TOWERS, "convnext_tiny", entry)
    model = shallow(include_top=False, weights=None, input_shape=(64, 64, 3))
    draws = np.random.default_rng(1)
    for weight in model.weights:
        # Scales of 1e-6, as new ones are, would hide every block from the test.
        if len(weight.shape) == 1:
            weight.assign(draws.uniform(0.1, 1.0, weight.shape))
    return model


def write_older(model: keras.Model, path) -> None:
    """Write the format that Keras publishes its weights in: outer layers alone."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{i}" for i in range(len(layer.weights))]
            group.attrs["weight_names"] = names
            for name, weight in zip(names, layer.get_weights(), strict=True):
                file[f"{layer.name}/{name}"] = weight


@pytest.mark.parametrize("kind", ["weights.h5", "h5", "imagenet"])
def test_same_features_as_keras_own(reference, kind, tmp_path, monkeypatch):
    """From pixels, Keras scaling them itself, with its weights in every form."""
    source = str(tmp_path / f"keras.{kind}")
    if kind == "weights.h5":
        reference.save_weights(source)
    elif kind == "h5":
        write_older(reference, source)
    else:
        source = kind
        entry = dataclasses.replace(
            TOWERS["convnext_tiny"], application=lambda **_: reference
        )
        monkeypatch.setitem(TOWERS, "convnext_tiny", entry)
    tower = build_tower(CONFIG, "rgb")
    load_tower_weights(tower, "rgb", CONFIG, source)
    expected = np.array(reference(PIXELS))
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(tower(PIXELS), expected, rtol=1e-3, atol=1e-4)


def test_cross_modality_and_its_own_file(reference, tmp_path):
    reference.save_weights(tmp_path / "keras.weights.h5")
    rgb, flow, again = (build_tower(CONFIG, s) for s in ("rgb", "flow", "flow"))
    load_tower_weights(rgb, "rgb", CONFIG, str(tmp_path / "keras.weights.h5"))
    load_tower_weights(flow, "flow", CONFIG, str(tmp_path / "keras.weights.h5"))
    kernel = np.array(rgb.get_layer("stem_conv").kernel)
    mean = np.repeat(kernel.mean(axis=2, keepdims=True), 10, axis=2)
    np.testing.assert_array_equal(flow.get_layer("stem_conv").kernel, mean)
    for ours, theirs in zip(flow.weights[1:], rgb.weights[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    flow.save_weights(tmp_path / "flow.weights.h5")
    load_tower_weights(again, "flow", CONFIG, str(tmp_path / "flow.weights.h5"))
    for ours, theirs in zip(again.weights, flow.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["weights.h5", "h5"])
def test_a_file_of_another_depth(reference, kind, tmp_path):
    deeper = ConvNeXt(
        (1, 2, 2, 1), CHANNELS, include_top=False, input_shape=(32, 32, 3)
    )
    path = tmp_path / f"deeper.{kind}"
    deeper.save_weights(path) if kind == "weights.h5" else write_older(deeper, path)
    tower = build_tower(CONFIG, "rgb")
    with pytest.raises(UserError, match="(Unknown|Expected 34 layers)"):
        load_tower_weights(tower, "rgb", CONFIG, str(path))


def test_saved_whole_and_frozen_by_layers(reference, tmp_path):
    tower = build_tower(CONFIG, "flow")
    tower.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras", safe_mode=True)
    codes = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 10), "uint8")
    np.testing.assert_array_equal(loaded(codes), tower(codes))
    freeze(tower, 0.5, partial_batchnorm=True)  # it has no batch normalisation
    names = [w.path.split("/")[1] for w in tower.trainable_weights]
    assert "stem_conv" not in names and names[-1] == "head_layernorm"
    assert len(tower.trainable_weights) + len(tower.non_trainable_weights) == len(
        tower.weights
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("convnext_tiny", 28_589_128), ("convnext_small", 50_223_688)],
)
def test_published_parameters(name, parameters):
    """Golden: the published numbers less a classifier of 768 x 1000 + 1000."""
    tower = build_tower(ModelConfig(tower=name, rgb_size=32), "rgb")
    assert tower.count_params() == parameters - 769_000
    depths = {"convnext_tiny": TINY, "convnext_small": SMALL}[name]
    adds = [x for x in tower.layers if isinstance(x, keras.layers.Add)]
    assert len(adds) == sum(depths)
