"""Every option of the networks of pooled features: shapes, files, end points."""

import dataclasses

import keras
import numpy as np
import pytest

from stfn_keras.config import (
    AGGREGATES,
    CONSENSUSES,
    DIRECTIONS,
    FUSIONS,
    MOTIONS,
    RESIDUALS,
    ModelConfig,
)
from stfn_keras.models import build, build_head, copy_by_name, endpoints

CONFIG = ModelConfig(
    tower="tiny", segments=4, rgb_size=32, flow_size=16, pairs=2, blocks=1
)
OPTIONS = (
    [{}]
    + [{"network": name} for name in ("spatial", "late_fusion", "feature_fusion")]
    + [{"direction": direction} for direction in DIRECTIONS[1:]]
    + [{"fusion": fusion} for fusion in FUSIONS[1:]]
    + [{"residual": residual} for residual in RESIDUALS[1:]]
    + [{"width": 8}, {"blocks": 0}, {"blocks": 2}]
    + [{"segments": 1}, {"segments": 3}, {"segments": 7}]
    + [{"temporal": "mlp"}, {"temporal": "mlp", "width": 8, "zero_init": True}]
    + [{"zero_init": True, "residual": "own"}, {"modality_dropout": 0.3}]
    + [{"feature_norm": "layer"}, {"position": True}]
    + [{"feature_motion": motion} for motion in MOTIONS[1:]]
    + [{"feature_norm": "layer", "position": True, "network": "feature_fusion"}]
    + [{"aggregate": aggregate} for aggregate in AGGREGATES[1:]]
    + [{"combination": "softmax"}]
    + [{"consensus": consensus, "network": "tsn"} for consensus in CONSENSUSES[1:]]
    + [{"combination": "softmax", "network": "late_fusion"}]
)
# What a network of independent segments has no place for.
FUSION_ONLY = {
    "temporal": "mlp",
    "zero_init": True,
    "feature_norm": "layer",
    "position": True,
    "feature_motion": "gate",
    "aggregate": "attention",
    "modality_dropout": 0.5,
}


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
    if len(config.streams) == 2 and config.network != "feature_fusion":
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


def test_the_mlp_leaves_nothing_to_order():
    """The control: what stands in the order of segments does not reach it."""
    config = dataclasses.replace(CONFIG, temporal="mlp", blocks=2)
    model, inputs = build(config, 5), videos(CONFIG)
    points = endpoints(model)
    taps = keras.Model(model.input, [points["fusion_2_rgb"], points["logits"]])
    order = [2, 0, 3, 1]
    dynamics, logits = taps(inputs)
    permuted, same = taps({name: x[:, order] for name, x in inputs.items()})
    expected = np.array(dynamics)[:, order]
    np.testing.assert_allclose(permuted, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(same, logits, rtol=1e-4, atol=1e-5)


def test_positions_give_any_network_an_order():
    config = dataclasses.replace(CONFIG, temporal="mlp", position=True)
    head = build_head(config, 5, features=16)
    draws = np.random.default_rng(0)
    x = {f"{s}_features": draws.normal(size=(2, 4, 16)) for s in ("rgb", "flow")}
    plain = build_head(dataclasses.replace(config, position=False), 5, features=16)
    copy_by_name(head, plain)
    expected = plain(x)["logits"]
    np.testing.assert_array_equal(head(x)["logits"], expected)  # zero at first
    for stream in ("rgb", "flow"):
        vectors = head.get_layer(f"{stream}_position").position
        vectors.assign(draws.normal(size=(4, 16)))
    reverse = {name: value[:, ::-1] for name, value in x.items()}
    assert not np.allclose(head(x)["logits"], head(reverse)["logits"], atol=1e-3)


def test_layer_norm_forgets_the_scale_of_the_features():
    config = dataclasses.replace(CONFIG, feature_norm="layer")
    head = build_head(config, 5, features=16)
    draws = np.random.default_rng(0)
    x = {f"{s}_features": draws.normal(size=(2, 4, 16)) for s in ("rgb", "flow")}
    scaled = {**x, "flow_features": 50 * x["flow_features"] + 7}
    np.testing.assert_allclose(head(x)["logits"], head(scaled)["logits"], atol=2e-2)
    norm = endpoints(head)["flow_norm"]
    values = np.array(keras.Model(head.input, norm)(x))
    np.testing.assert_allclose(values.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=-1), 1, atol=1e-2)


@pytest.mark.parametrize(("aggregate", "of"), [("mean", np.mean), ("max", np.max)])
def test_aggregate(aggregate, of):
    config = dataclasses.replace(CONFIG, aggregate=aggregate, blocks=0)
    points = endpoints(model := build(config, classes=5))
    taps = keras.Model(model.input, [points["rgb_dynamics"], points["rgb_pooled"]])
    dynamics, pooled = taps(videos(CONFIG))
    np.testing.assert_allclose(pooled, of(dynamics, axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", ["stfn", "late_fusion"])
def test_scores_are_the_weighted_mean_of_the_streams_scores(network):
    config = dataclasses.replace(
        CONFIG, network=network, combination="softmax", flow_weight=1.5
    )
    outputs = build(config, classes=5)(videos(config))
    rgb, flow = (keras.ops.softmax(outputs[f"{s}_logits"]) for s in ("rgb", "flow"))
    expected = (rgb + 1.5 * flow) / 2.5
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(outputs["logits"]), expected, rtol=1e-5)


@pytest.mark.parametrize("network", ["spatial", "temporal", "late_fusion"])
def test_consensus_ignores_what_only_fusion_can_use(network):
    """A fusion network's towers are trained as such networks, options and all."""
    config = dataclasses.replace(CONFIG, network=network)
    plain = build_head(config, 5, features=8)
    head = build_head(dataclasses.replace(config, **FUSION_ONLY), 5, features=8)
    names = [layer.name for layer in plain.layers]
    assert [layer.name for layer in head.layers] == names
    assert [w.path for w in head.weights] == [w.path for w in plain.weights]


def test_modality_dropout_acts_in_training_alone():
    config = dataclasses.replace(CONFIG, modality_dropout=1.0, dropout=0.0, blocks=0)
    model = build(config, classes=5)
    without = build(dataclasses.replace(config, modality_dropout=0.0), classes=5)
    assert {w.path for w in without.weights} == {w.path for w in model.weights}
    copy_by_name(model, without)
    inputs = videos(CONFIG)
    np.testing.assert_array_equal(model(inputs)["logits"], without(inputs)["logits"])
    assert "modality_dropout" not in endpoints(model)
    taps = keras.Model(model.input, model.get_layer("modality_dropout").output)
    norms = np.array([np.abs(x).sum((1, 2)) for x in taps(inputs, training=True)])
    np.testing.assert_array_equal((norms > 0).sum(axis=0), [1, 1])


@pytest.mark.parametrize(
    ("options", "parameters", "logits"),
    [
        ({}, 5930, [7.4345, 0.44048, -2.21292, 0.97252, 5.13293]),
        ({"direction": "uni"}, 5930, [10.3453, 1.14418, -1.38749, 1.81718, 7.4622]),
        ({"residual": "own"}, 5930, [7.44353, 0.78482, -1.68990, 1.07367, 6.10588]),
        ({"width": 8}, 14858, [5.21214, -4.34034, 5.72320, 6.11883, 3.16797]),
        (
            {"network": "feature_fusion"},
            2005,
            [0.46442, 0.18873, -1.36630, 1.74518, 0.34681],
        ),
        (
            {"network": "late_fusion"},
            170,
            [-0.09822, 0.79356, 0.65776, -0.76451, -0.47053],
        ),
    ],
    ids=str,
)
def test_the_first_release_computes_the_same(options, parameters, logits):
    """Goldens from before there were options: trained runs stay what they were."""
    config = dataclasses.replace(CONFIG, blocks=2, **options)
    head = build_head(config, 5, features=16)
    assert head.count_params() == parameters
    draws = np.random.default_rng(1)
    for weight in head.weights:
        if "var" in weight.name or "gamma" in weight.name:
            weight.assign(draws.uniform(0.1, 1.0, weight.shape))
        else:
            weight.assign(draws.normal(0, 0.3, weight.shape))
    x = {name: draws.normal(size=(1, 4, 16)).astype("float32") for name in head.input}
    np.testing.assert_allclose(head(x)["logits"][0], logits, rtol=1e-4, atol=2e-5)


def test_uni_direction_keeps_appearance_out_of_the_flow_logits():
    config = dataclasses.replace(CONFIG, direction="uni")
    model, inputs = build(config, 5), videos(config)
    other = {**inputs, "rgb": 255 - inputs["rgb"]}
    np.testing.assert_array_equal(
        model(inputs)["flow_logits"], model(other)["flow_logits"]
    )


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temporal": "mlp", "zero_init": True, "aggregate": "attention"},
        {"feature_norm": "layer", "position": True, "combination": "softmax"},
    ],
    ids=str,
)
def test_mixed_precision(policy, half, options):
    policy(f"mixed_{half}")
    model = build(dataclasses.replace(CONFIG, **options), classes=5)
    outputs = model(videos(CONFIG))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {
        "float32"
    }
    assert {weight.dtype for weight in model.weights} == {"float32"}
    points = endpoints(model)
    assert points["fusion_1_rgb"].dtype == half
    assert {points[x].dtype for x in ("rgb_features", "rgb_pooled")} == {"float32"}
    assert np.all(np.isfinite(outputs["scores"]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temporal": "mlp", "position": True, "aggregate": "attention"},
        {"feature_norm": "layer", "combination": "softmax", "aggregate": "max"},
    ],
    ids=str,
)
def test_training_reaches_every_weight(options):
    config = dataclasses.replace(CONFIG, dropout=0.0, **options)
    model = build(config, classes=5)
    before = [np.array(weight) for weight in model.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss={"logits": loss})
    model.fit(videos(CONFIG), {"logits": np.array([0, 1])}, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
