"""Towers with what --rgb_motion puts into them: what it changes, and what it leaves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_resnet import randomise, use_one_stage

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.recompute import RecomputedTower
from stfn_keras.models.short_term_difference import (
    AddDifference,
    DifferenceStem,
    MiddleFrame,
)

SIZE = 16
LIFTS = ("shift", "gate", "difference")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    use_one_stage(monkeypatch)


def config_of(motion, **changes):
    settings = {"tower": "resnet50", "rgb_size": SIZE, "flow_size": SIZE, "pairs": 2,
                "segments": 3, "frames": 5, "network": "spatial", "dropout": 0.0,
                "width": 4, "blocks": 1, "rgb_motion": motion}  # fmt: skip
    return ModelConfig(**{**settings, **changes})


def videos(config, still=False, count=2):
    draws = np.random.default_rng(0)
    shape = (count, config.segments, SIZE, SIZE)
    frames = 1 if still else config.frames
    rgb = draws.integers(0, 256, (*shape, 3 * frames), "uint8")
    flow = draws.integers(1, 256, (*shape, 2 * config.pairs), "uint8")
    found = {"rgb": np.tile(rgb, config.frames) if still else rgb, "flow": flow}
    return {name: found[name] for name in config.inputs}


def images(config, **options):
    rgb = videos(config, **options)["rgb"]
    return rgb.reshape(-1, *rgb.shape[2:])


def awake(tower):
    """Give what starts at 0 a value, so that a lift does something."""
    draws = np.random.default_rng(1)
    for layer in tower.layers:
        for weight in layer.weights if isinstance(layer, models.Lift) else ():
            if weight.name in ("gamma", "expand"):
                weight.assign(draws.normal(1.0, 0.5, weight.shape))


def test_middle_frames_and_sums_by_hand():
    frames = np.repeat(np.arange(5, dtype="uint8"), 3)[None, None, None]
    middle = MiddleFrame()(frames)
    assert keras.backend.standardize_dtype(middle.dtype) == "uint8"
    np.testing.assert_array_equal(middle[0, 0, 0], [2, 2, 2])
    np.testing.assert_array_equal(MiddleFrame()(frames[..., :6])[0, 0, 0], [1, 1, 1])
    layer = AddDifference()
    maps = np.ones((1, 3, 3, 1), "float32")
    small = np.float32([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(layer([maps, small]), maps)
    layer.scale.gamma.assign([0.5])
    expected = [[1.5, 1.5, 2.0], [1.5, 1.5, 2.0], [2.5, 2.5, 3.0]]
    np.testing.assert_array_equal(np.array(layer([maps, small]))[0, ..., 0], expected)
    assert DifferenceStem(8)(np.ones((1, 33, 40, 12))).shape == (1, 5, 5, 8)


@pytest.mark.parametrize("frames", [2, 5])
def test_a_still_snippet_has_no_difference(frames):
    config = config_of("difference", frames=frames)
    plain, lifted = (models.lifted_tower(c, "rgb") for c in
                     (config_of("none", frames=frames), config))  # fmt: skip
    models.copy_by_name(plain, lifted)
    awake(lifted)
    still = images(config, still=True)
    np.testing.assert_allclose(lifted(still), plain(still), rtol=1e-4, atol=1e-5)
    moving = images(config)
    assert not np.allclose(lifted(moving), plain(moving), rtol=1e-2)


@pytest.mark.parametrize("motion", ["gate", "difference"])
@pytest.mark.parametrize("segments", [1, 3, 7])
def test_a_lift_starts_as_the_identity(motion, segments):
    config = config_of(motion, segments=segments)
    plain = models.build_tower(config, "rgb")
    lifted = models.lifted_tower(config, "rgb")
    models.copy_by_name(plain, lifted)
    x = images(config)
    middle = np.tile(x[..., 6:9], 5) if motion == "difference" else x
    np.testing.assert_array_equal(lifted(x), plain(middle))


@pytest.mark.parametrize("motion", LIFTS)
def test_plain_weights_load_and_layers_are_counted_without_lifts(motion, tmp_path):
    config = config_of(motion)
    plain = models.build_tower(config, "rgb")
    randomise(plain)
    path = str(tmp_path / "plain.weights.h5")
    plain.save_weights(path)
    lifted = models.lifted_tower(config, "rgb")
    new = [layer for layer in lifted.layers if isinstance(layer, models.Lift)]
    start = [layer.get_weights() for layer in new]
    models.load_tower_weights(lifted, "rgb", config, path)
    for layer in models.weighted_layers(plain):
        ours = lifted.get_layer(layer.name).get_weights()
        for a, b in zip(ours, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    for layer, before in zip(new, start, strict=True):
        for a, b in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    models.freeze(lifted, 0.5, partial_batchnorm=True)
    own = models.without_lifts(models.weighted_layers(lifted))
    assert not any(layer.trainable for layer in own[: len(own) // 2])
    assert all(layer.trainable for layer in new)
    models.freeze(lifted, 1.0, partial_batchnorm=True)
    assert not lifted.trainable_weights


@pytest.mark.parametrize("motion", LIFTS)
def test_a_network_trains_every_weight_and_its_file_keeps_it(motion, tmp_path):
    network = models.build(config_of(motion), 4)
    randomise(network)
    awake(network.get_layer("rgb_features").layer)
    inputs, label = videos(config_of(motion), count=4), [0, 1, 2, 3]
    with tf.GradientTape() as tape:
        logits = network(inputs, training=True)["logits"]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
    weights = network.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in weights])
    for variable, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None and np.any(gradient), variable.path
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [w.path for w in loaded.weights] == [w.path for w in network.weights]
    np.testing.assert_array_equal(loaded(inputs)["logits"], network(inputs)["logits"])


@pytest.mark.parametrize("motion", LIFTS)
def test_towers_move_to_networks_of_other_lengths_and_with_maps(motion):
    three, seven = config_of(motion), config_of(motion, segments=7)
    source = models.build(three, 4)
    target = models.build(seven, 4)
    models.take_towers(seven, target, {"rgb": source})
    vlad = config_of(motion, network="action_vlad", segments=7)
    above_maps = models.build(vlad, 4)
    models.take_towers(vlad, above_maps, {"rgb": source})
    for network in (target, above_maps):
        ours = network.get_layer("rgb_features").layer.get_weights()
        theirs = source.get_layer("rgb_features").layer.get_weights()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert models.mixes_segments(source.get_layer("rgb_features").layer) == (
        motion != "difference"
    )


@pytest.mark.parametrize("motion", LIFTS)
def test_half_precision_and_recomputing(motion):
    before = keras.config.dtype_policy()
    config = config_of(motion)
    tower = models.lifted_tower(config, "rgb")
    awake(tower)
    x = images(config)
    again = RecomputedTower(tower)(x)
    np.testing.assert_allclose(again, tower(x, training=True), rtol=1e-3, atol=1e-4)
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        half = models.build(config, 4)
    finally:
        keras.config.set_dtype_policy(before)
    logits = half(videos(config))["logits"]
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(logits).all()
    assert all(v.dtype == "float32" for v in half.trainable_variables)


def test_what_follows_from_mixing_segments():
    shift, plain = config_of("shift"), config_of("none")
    difference = config_of("difference")
    assert plain.is_pooled and plain.views_are_snippets
    assert difference.is_pooled and difference.views_are_snippets
    assert not shift.is_pooled and not shift.views_are_snippets and shift.has_head
    flow = config_of("shift", network="temporal")
    assert flow.is_pooled and flow.views_are_snippets


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tower": "tiny", "rgb_motion": "shift"}, "--rgb_motion=shift goes into res"),
        ({"tower": "convnext_tiny", "rgb_motion": "gate"}, "Received: --tower=convn"),
        ({"tower": "i3d", "frames": 8}, "maps of stage2: expected .* resnet50.*i3d$"),
        ({"network": "st_resnet", "rgb_motion": "gate"}, "expected no --rgb_motion"),
        ({"network": "st_resnet", "rgb_motion": "none", "feature_motion": "gate"},
         "expected no --feature_motion. Received: --feature_motion=gate"),
    ],
)  # fmt: skip
def test_what_has_no_place_for_a_lift_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        models.check(config_of("difference", **{**settings}))


def test_one_frame_has_no_difference():
    with pytest.raises(UserError, match="--frames of 2 or more .* --frames=1"):
        config_of("difference", frames=1)
    config_of("difference", frames=1, network="temporal")
