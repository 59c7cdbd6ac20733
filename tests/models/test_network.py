"""Every network and every option of it: shapes, files, types, end points."""

import dataclasses

import keras
import numpy as np
import pytest

from stfn_keras.config import DIRECTIONS, FUSIONS, NETWORKS, RESIDUALS, ModelConfig
from stfn_keras.models import build, build_head, copy_by_name, endpoints

CONFIG = ModelConfig(
    tower="tiny", segments=4, rgb_size=32, flow_size=16, pairs=2, blocks=1
)
OPTIONS = (
    [{"network": network} for network in NETWORKS]
    + [{"direction": direction} for direction in DIRECTIONS[1:]]
    + [{"fusion": fusion} for fusion in FUSIONS[1:]]
    + [{"residual": residual} for residual in RESIDUALS[1:]]
    + [{"width": 8}, {"blocks": 0}, {"blocks": 2}]
    + [{"segments": 1}, {"segments": 3}, {"segments": 7}]
)


def videos(config: ModelConfig) -> dict[str, np.ndarray]:
    random, time = np.random.default_rng(0), config.segments
    rgb = random.integers(0, 256, (2, time, 32, 32, 3), "uint8")
    flow = random.integers(1, 256, (2, time, 16, 16, 4), "uint8")
    return {x: v for x, v in {"rgb": rgb, "flow": flow}.items() if x in config.streams}


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_network(options, tmp_path):
    config = dataclasses.replace(CONFIG, **options)
    model = build(config, classes=5)
    outputs = model(videos(config))
    heads = {"logits", "scores"}
    if config.network in ("stfn", "late_fusion"):
        heads |= {"rgb_logits", "flow_logits"}
    assert outputs.keys() == heads
    assert all(x.shape == (2, 5) for x in outputs.values())
    np.testing.assert_allclose(np.sum(outputs["scores"], axis=-1), 1, rtol=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for name, expected in outputs.items():
        np.testing.assert_array_equal(loaded(videos(config))[name], expected)
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]
    assert list(endpoints(loaded)) == list(endpoints(model))

    head = build_head(config, classes=5, features=128)
    copied = copy_by_name(model, head)
    assert set(copied) == {layer.name for layer in head.layers if layer.weights}
    names = [f"{stream}_features" for stream in config.streams]
    taps = keras.Model(model.input, {name: endpoints(model)[name] for name in names})
    from_features = head(taps(videos(config)))
    for name, expected in outputs.items():
        np.testing.assert_allclose(from_features[name], expected, rtol=1e-5, atol=1e-6)


def test_end_points():
    points = endpoints(build(dataclasses.replace(CONFIG, blocks=2), classes=5))
    shapes = {name: tensor.shape for name, tensor in points.items()}
    steps = ["features", "dynamics"]
    for stream in ("rgb", "flow"):
        for name in [f"{stream}_{step}" for step in steps] + [f"fusion_2_{stream}"]:
            assert shapes[name] == (None, 4, 128)
        assert shapes[f"{stream}_pooled"] == (None, 128)
        assert shapes[f"{stream}_logits"] == (None, 5)
    assert shapes["logits"] == shapes["scores"] == (None, 5)


def test_logits_are_the_weighted_mean_of_the_streams():
    config = dataclasses.replace(CONFIG, flow_weight=1.5)
    outputs = build(config, classes=5)(videos(config))
    expected = (outputs["rgb_logits"] + 1.5 * outputs["flow_logits"]) / 2.5
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-6)


def test_consensus_is_the_mean_over_segments():
    """A video's logits are the mean of those of its segments alone."""
    config = dataclasses.replace(CONFIG, network="late_fusion")
    model, single = build(config, 5), build(dataclasses.replace(config, segments=1), 5)
    copy_by_name(model, single)
    inputs = videos(config)
    parts = [
        single({name: x[:, t : t + 1] for name, x in inputs.items()})["logits"]
        for t in range(4)
    ]
    expected = np.mean(parts, axis=0)
    np.testing.assert_allclose(model(inputs)["logits"], expected, rtol=1e-4, atol=1e-6)


def test_stfn_uses_the_order_of_segments_and_consensus_does_not():
    for network, uses in (("stfn", True), ("late_fusion", False)):
        config = dataclasses.replace(CONFIG, network=network)
        model, inputs = build(config, 5), videos(config)
        reverse = {name: x[:, ::-1] for name, x in inputs.items()}
        same = np.allclose(
            model(inputs)["logits"], model(reverse)["logits"], rtol=1e-4, atol=1e-6
        )
        assert same is not uses


def test_uni_direction_keeps_appearance_out_of_the_flow_logits():
    config = dataclasses.replace(CONFIG, direction="uni")
    model, inputs = build(config, 5), videos(config)
    other = {**inputs, "rgb": 255 - inputs["rgb"]}
    np.testing.assert_array_equal(
        model(inputs)["flow_logits"], model(other)["flow_logits"]
    )


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_mixed_precision(policy, half):
    policy(f"mixed_{half}")
    model = build(CONFIG, classes=5)
    outputs = model(videos(CONFIG))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "float32"
    }
    assert {weight.dtype for weight in model.weights} == {"float32"}
    points = endpoints(model)
    assert {points[x].dtype for x in ("rgb_features", "fusion_1_rgb")} == {half}
    assert points["rgb_pooled"].dtype == "float32"
    assert np.all(np.isfinite(outputs["scores"]))


def test_training_reaches_every_weight():
    model = build(dataclasses.replace(CONFIG, dropout=0.0), classes=5)
    before = [np.array(weight) for weight in model.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss={"logits": loss})
    model.fit(videos(CONFIG), {"logits": np.array([0, 1])}, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
