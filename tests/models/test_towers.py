"""Every registered tower: sizes, features, names, both streams."""

import numpy as np
import pytest

from stfn_keras import config as settings
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import (
    TOWERS,
    build_tower,
    feature_size,
    input_channels,
    input_size,
    load_tower_weights,
)

QUICK = ["tiny", "mobilenet_v2", "efficientnet_lite0", "efficientnet_v2_b0"]
LARGE = [
    pytest.param(name, marks=pytest.mark.slow) for name in TOWERS if name not in QUICK
]


def test_registry_has_every_tower_of_the_configuration():
    assert tuple(TOWERS) == settings.TOWERS
    assert all(tower.features % 4 == 0 for tower in TOWERS.values())


@pytest.mark.parametrize("name", QUICK + LARGE)
def test_smallest_flow_tower(name):
    pairs = 8 if TOWERS[name].time else 2
    config = ModelConfig(tower=name, flow_size=TOWERS[name].minimum, pairs=pairs)
    tower = build_tower(config, "flow")
    size = TOWERS[name].minimum
    assert tower.input_shape == (None, size, size, 2 * pairs)
    assert tower.output_shape == (None, feature_size(config))
    features = np.array(tower(np.full((1, size, size, 2 * pairs), 128, "uint8")))
    assert features.dtype == np.float32
    assert np.all(np.isfinite(features))


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("inception_v3", "efficientnet_v2_s", "convnext_tiny")
        ),
    ],
)
def test_names_do_not_depend_on_what_was_built_before(name):
    first, second = (build_tower(ModelConfig(tower=name), "rgb") for _ in range(2))
    assert [x.name for x in first.layers] == [x.name for x in second.layers]
    assert [w.path for w in first.weights] == [w.path for w in second.weights]


def test_both_streams_variables_have_their_own_paths():
    rgb, flow = (build_tower(ModelConfig(tower="tiny"), s) for s in ("rgb", "flow"))
    assert not {w.path for w in rgb.weights} & {w.path for w in flow.weights}


@pytest.mark.parametrize(
    "name",
    ["efficientnet_v2_b0", pytest.param("efficientnet_v2_s", marks=pytest.mark.slow)],
)
def test_efficientnet_v2_equals_keras_own_scaling(name, tmp_path):
    """The same features from pixels as the model that scales RGB itself."""
    application = TOWERS[name].application
    reference = application(
        include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg"
    )
    draws = np.random.default_rng(0)
    for weight in reference.weights:
        if len(weight.shape) == 1:  # statistics and scales of the normalisations
            weight.assign(draws.uniform(0.5, 1.0, weight.shape))
    reference.save_weights(tmp_path / "keras.weights.h5")
    config = ModelConfig(tower=name, rgb_size=64)
    tower = build_tower(config, "rgb")
    load_tower_weights(tower, "rgb", config, str(tmp_path / "keras.weights.h5"))
    pixels = draws.integers(0, 256, (2, 64, 64, 3), "uint8")
    expected = np.array(reference(pixels))
    assert np.std(expected) > 1e-3
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(tower(pixels) / scale, expected / scale, atol=1e-4)


def test_input_sizes():
    assert input_size(ModelConfig(), "rgb") == 224
    assert input_size(ModelConfig(tower="inception_v3"), "flow") == 299
    assert input_size(ModelConfig(rgb_size=96), "flow") == 96
    assert input_size(ModelConfig(rgb_size=96, flow_size=64), "flow") == 64
    assert input_size(ModelConfig(rgb_size=96, flow_size=64), "rgb") == 96
    assert input_channels(ModelConfig(pairs=10), "flow") == 20
    assert input_channels(ModelConfig(pairs=10), "rgb") == 3


def test_too_small_an_input():
    config = ModelConfig(tower="inception_v3", rgb_size=64)
    with pytest.raises(UserError, match="75 pixels or more; set --flow_size.*: 64"):
        build_tower(config, "flow")
