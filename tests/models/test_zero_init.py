"""Modules that start as the identity do, and leave that state in training."""

import dataclasses

import keras
import numpy as np
import pytest

from stfn_keras.config import ModelConfig
from stfn_keras.models import (
    SpatioTemporalFusion,
    TemporalMLP,
    TemporalResInception,
    build,
    build_head,
    copy_by_name,
)

X = np.random.default_rng(0).normal(size=(4, 3, 8)).astype("float32")
MODULES = [(TemporalResInception, 0), (TemporalResInception, 3), (TemporalMLP, 0)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("module", "width"), MODULES)
def test_identity_at_first(module, width, training):
    layer = module(width, zero_init=True)
    np.testing.assert_array_equal(layer(X, training=training), X)
    np.testing.assert_array_equal(layer([X, X + 1], training=training), X + 1)


@pytest.mark.parametrize(("module", "width"), MODULES)
def test_training_reaches_every_weight(module, width):
    """Zero factors of batch normalisations before a ReLU would never leave zero.

    The first step moves what is zero, the second everything behind it.
    """
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, module(width, zero_init=True)(inputs))
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.fit(X, X[::-1], batch_size=4, epochs=2, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path


def test_only_a_factor_per_channel_is_added():
    counts = [
        build_head(
            ModelConfig(blocks=1, width=width, zero_init=zero), 5, features=16
        ).count_params()
        for width in (0, 3)
        for zero in (False, True)
    ]
    assert counts[1] - counts[0] == 4 * 16  # four modules
    assert counts[3] == counts[2]  # their projection starts at zero instead


@pytest.mark.parametrize("temporal", ["res_inception", "mlp"])
def test_stfn_of_trained_towers_starts_as_late_fusion(temporal):
    """With the towers' classifiers, before any training of the fusion."""
    config = ModelConfig(
        tower="tiny", segments=3, rgb_size=16, pairs=2, residual="own", blocks=2,
        zero_init=True, temporal=temporal, flow_weight=1.5,
    )  # fmt: skip
    towers = [
        build(dataclasses.replace(config, network=network), 5)
        for network in ("spatial", "temporal")
    ]
    stfn = build(config, 5)
    late = build(dataclasses.replace(config, network="late_fusion"), 5)
    for target in (stfn, late):
        assert copy_by_name(towers[0], target) == ["rgb_features", "rgb_logits"]
        assert copy_by_name(towers[1], target) == ["flow_features", "flow_logits"]
    draws = np.random.default_rng(1)
    videos = {
        "rgb": draws.integers(0, 256, (2, 3, 16, 16, 3), "uint8"),
        "flow": draws.integers(0, 256, (2, 3, 16, 16, 4), "uint8"),
    }
    expected = late(videos)
    for name, received in stfn(videos).items():
        np.testing.assert_array_equal(received, expected[name])

    # The head alone, as the fusion stage trains it on cached features.
    head, late_head = (
        build_head(dataclasses.replace(config, network=network), 5, features=128)
        for network in ("stfn", "late_fusion")
    )
    for target in (head, late_head):
        for tower in towers:
            (name,) = copy_by_name(tower, target)
            assert name.endswith("_logits")
    features = {
        f"{s}_features": draws.normal(size=(2, 3, 128)) for s in ("rgb", "flow")
    }
    np.testing.assert_array_equal(
        head(features)["logits"], late_head(features)["logits"]
    )


def test_a_block_hands_its_own_inputs_on():
    rgb, flow = SpatioTemporalFusion(residual="own", zero_init=True)([X, X + 1])
    np.testing.assert_array_equal(rgb, X)
    np.testing.assert_array_equal(flow, X + 1)
