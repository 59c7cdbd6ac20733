"""OFF on small towers: its scales, its pairs, its classifiers and their weights."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.networks import off

CONFIG = ModelConfig(
    tower="tiny", segments=3, rgb_size=32, flow_size=16, pairs=1, dropout=0.0
)
DIFFERENT = ("rgb", "flow", "difference")
HEADS = {
    f"{stream}{part}_logits"
    for stream in ("rgb", "flow")
    for part in ("", "_off", "_off_stage3")
}


def videos(segments: int = 3) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    return {
        "rgb": draws.integers(0, 256, (2, segments, 32, 32, 3), "uint8"),
        "flow": draws.integers(0, 256, (2, segments, 16, 16, 2), "uint8"),
    }


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return off.build(CONFIG, 5)


def outputs(network: keras.Model, x: dict) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in network(x).items()}


def test_outputs_of_every_scale(network):
    y = outputs(network, videos())
    assert y.keys() == {"logits", "scores"} | HEADS
    assert {x.shape for x in y.values()} == {(2, 5)}
    names = [
        layer.name for layer in network.get_layer("flow_off_reduction").layer.layers
    ]
    assert not [name for name in names if "sobel" in name]


def test_four_classifiers_weigh_as_in_the_paper(network):
    """1 : 1.6 of RGB; 0.9 : 1.8 of flow, up to the weight between the streams."""
    y = outputs(network, videos())
    rgb = (y["rgb_logits"] + 1.6 * y["rgb_off_logits"]) / 2.6
    flow = (0.9 * y["flow_logits"] + 1.8 * y["flow_off_logits"]) / 2.7
    expected = (rgb + flow) / 2
    np.testing.assert_allclose(y["logits"], expected, rtol=1e-4, atol=1e-6)


def test_pairs_are_alike_and_their_order_does_not_count(network):
    """Segments a, b, a give the pairs (a, b) and (b, a), and so do b, a, b."""
    x = videos()
    turned = {name: v[:, [1, 0, 1]] for name, v in x.items()}
    x = {name: v[:, [0, 1, 0]] for name, v in x.items()}
    a, b = outputs(network, x), outputs(network, turned)
    for name in ("rgb_off", "flow_off", "rgb_off_stage3", "flow_off_stage3"):
        np.testing.assert_allclose(
            a[f"{name}_logits"], b[f"{name}_logits"], rtol=1e-3, atol=1e-5
        )
    assert not np.allclose(a["rgb_logits"], b["rgb_logits"], rtol=1e-3, atol=1e-5)


def test_without_change_flow_off_knows_nothing(network):
    """Differences alone are read of flow: of a still video they are 0."""
    still = {name: v[:, [0, 0, 0]] for name, v in videos().items()}
    y = outputs(network, still)
    for name in ("flow_off_logits", "flow_off_stage3_logits"):
        np.testing.assert_allclose(y[name][0], y[name][1], atol=1e-6)
    assert not np.allclose(y["rgb_off_logits"][0], y["rgb_off_logits"][1], atol=1e-4)


def test_one_segment_is_a_pair_with_itself(network):
    single = off.build(dataclasses.replace(CONFIG, segments=1), 5)
    models.copy_by_name(network, single)
    x = {name: v[:, :1] for name, v in videos().items()}
    still = {name: v[:, [0, 0, 0]] for name, v in videos().items()}
    expected = outputs(network, still)
    for name, value in outputs(single, x).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-5)


def test_gradient_reaches_every_weight(network):
    x = videos()
    with tf.GradientTape() as tape:
        y = network(x, training=True)
        loss = sum(tf.reduce_sum(tf.square(y[name] - 1)) for name in HEADS)
    gradients = tape.gradient(loss, network.trainable_variables)
    for weight, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert np.any(gradient), weight.path


def test_save_and_load(network, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        loaded(videos())["logits"], network(videos())["logits"]
    )
    assert [w.path for w in loaded.weights] == [w.path for w in network.weights]


def test_seven_segments_in_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = off.build(dataclasses.replace(CONFIG, segments=7), 5)
    finally:
        keras.config.set_dtype_policy(before)
    assert network.get_layer("rgb_off_stage3_motion").output.shape[1] == 6
    assert network.get_layer("rgb_off_stage3_space").output.shape[1] == 6
    y = outputs(network, videos(7))
    assert all(x.dtype == np.float32 and np.all(np.isfinite(x)) for x in y.values())


def test_towers_and_their_classifiers_are_taken_by_name(network):
    spatial = models.build(dataclasses.replace(CONFIG, network="spatial"), 5)
    target = keras.models.clone_model(network)
    copied = models.copy_by_name(spatial, target)
    assert set(copied) == {"rgb_features", "rgb_logits"}
    x = videos()
    np.testing.assert_allclose(
        target(x)["rgb_logits"], spatial({"rgb": x["rgb"]})["logits"], atol=1e-5
    )


def test_memory_can_be_estimated(network):
    assert models.activation_bytes(network) > 0


def test_three_scales_that_are_not_halves_of_each_other():
    """Guards against Inception-v3's maps, of 35, 17 and 8 pixels."""
    sides = {"stage3": 35, "stage4": 17, "stage5": 8}
    shapes = {f"{stage}_motion": (n, n, 128) for stage, n in sides.items()}
    scales = off._network("flow", shapes)
    assert sum(layer.name.endswith("_crop") for layer in scales.layers) == 2
    assert {name: x.shape for name, x in scales.output.items()} == {
        "stage3": (None, 256), "stage4": (None, 512), "stage5": (None, 1024),
    }  # fmt: skip
    for stage, (_, _, _, blocks) in off.SCALES.items():
        sums = [x for x in scales.layers if x.name.endswith("_add")]
        assert sum(x.name.startswith(stage) for x in sums) == blocks


def test_differences_of_rgb_want_a_weight():
    config = dataclasses.replace(CONFIG, network="off", frames=2, modalities=DIFFERENT)
    with pytest.raises(UserError, match="2.6,2.7,0.6 .* Received none"):
        models.check(config)
    models.check(dataclasses.replace(config, modality_weights=(2.6, 2.7, 0.6)))
