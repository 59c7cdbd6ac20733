"""Motion gates of maps and of features: values by hand, start, towers, gradients."""

import keras
import numpy as np
import pytest
from small_resnet import randomise, use_small_resnet

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import build_tower
from stfn_keras.models.feature_gate import FeatureGate
from stfn_keras.models.motion_gate import MotionGate, with_motion_gate
from stfn_keras.models.temporal_shift import with_temporal_shift

CONFIG = ModelConfig(tower="resnet50", segments=3, rgb_size=32, pairs=2)


def gate(motion: float) -> float:
    return 1 / (1 + np.exp(-motion)) - 0.5


def test_maps_by_hand():
    """Two channels reduced to their sum; E gives it to the first alone, and halved."""
    layer = MotionGate(segments=3, reduction=2)
    layer.build((None, 2, 2, 2))
    layer.reduce.assign([[1.0], [1.0]])
    layer.expand.assign([[0.5, 0.0]])
    values = np.float32([1, 2, 4])[:, None, None, None] * np.ones((1, 2, 2, 2))
    x = values.astype("float32")
    differences = [2 * (2 - 1), 2 * (4 - 2), 0]
    expected = [
        v * (1 + gate(0.5 * d)) for v, d in zip((1, 2, 4), differences, strict=True)
    ]
    received = np.array(layer(x))
    np.testing.assert_allclose(received[:, 1, 1, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(received[..., 1], x[..., 1])
    # The next segment is filtered: 9 ones sum 4 pixels, as zeros surround 2 x 2.
    layer.depthwise.assign(np.ones((3, 3, 1, 1)))
    first = np.array(layer(x))[0, 0, 0, 0]
    np.testing.assert_allclose(first, 1 + gate(0.5 * (4 * 4 - 2)), rtol=1e-5)


def test_features_by_hand():
    layer = FeatureGate(reduction=2)
    layer.build((None, 3, 2))
    layer.reduce.assign([[1.0], [1.0]])
    layer.expand.assign([[0.5, -0.5]])
    x = np.float32([[[1, 1], [2, 2], [0, 1]]])
    received = np.array(layer(x))[0]
    up = gate(0.5 * 2)
    expected = [[1 + up, 1 - up], [2, 2], [0, 1]]  # what falls is cut by the ReLU
    np.testing.assert_allclose(received, expected, rtol=1e-5)


@pytest.mark.parametrize("segments", [1, 3])
def test_gates_start_as_the_identity(segments):
    draws = np.random.default_rng(0)
    x = draws.normal(size=(2 * segments, 4, 4, 32)).astype("float32")
    layer = MotionGate(segments)
    np.testing.assert_array_equal(layer(x), x)
    layer.expand.assign(draws.normal(size=layer.expand.shape))
    still = np.repeat(x[:1], segments, axis=0)
    np.testing.assert_allclose(layer(still), still, rtol=1e-6)
    vectors = draws.normal(size=(2, segments, 32)).astype("float32")
    np.testing.assert_array_equal(FeatureGate()(vectors), vectors)


@pytest.mark.parametrize("layer", [MotionGate(3, 4), FeatureGate(4)], ids=str)
def test_training_reaches_every_weight_and_files_keep_them(layer, tmp_path):
    draws = np.random.default_rng(0)
    maps = isinstance(layer, MotionGate)
    shape, batch = ((4, 4, 8), 6) if maps else ((3, 8), 2)
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs)))
    model = keras.Model(inputs, outputs)
    layer.expand.assign(draws.normal(size=layer.expand.shape))
    before = layer.get_weights()
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    x = draws.normal(size=(batch, *shape)).astype("float32")
    model.fit(x, np.ones((batch, 1)), verbose=0)
    for weight, old in zip(layer.weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_a_tower_with_gates_and_shifts(monkeypatch):
    use_small_resnet(monkeypatch)
    shifted = with_temporal_shift(build_tower(CONFIG, "rgb"), 3)
    randomise(shifted)
    tower = with_motion_gate(shifted, 3)
    new = [layer.name for layer in tower.layers if isinstance(layer, MotionGate)]
    assert new == [f"conv{s}_block{b}_gate" for s in (2, 3) for b in (1, 2)]
    first = tower.get_layer("conv2_block1_gate")
    assert first.input is tower.get_layer("conv2_block1_1_relu").output
    x = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), "uint8")
    np.testing.assert_array_equal(tower(x), shifted(x))
    randomise(tower)
    assert not np.allclose(tower(x), shifted(x), rtol=1e-3)
    with pytest.raises(UserError, match="--rgb_motion=gate goes into residual blocks"):
        with_motion_gate(build_tower(ModelConfig(tower="tiny"), "rgb"), 3)
