"""Folding time into the batch equals Keras' loop over time at inference."""

import keras
import numpy as np
import pytest

from stfn_keras.models import TimeDistributed


def images(batch: int = 2, time: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((batch, time, 8, 8, 3), "float32")


def tower() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def test_equals_keras_layer_at_inference():
    inner = tower()
    expected = keras.layers.TimeDistributed(inner)(images())
    received = TimeDistributed(inner)(images())
    assert received.shape == (2, 3, 4)
    np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize(
    "shape",
    [
        (None, None, 8, 8, 3),  # Keras' own layer loops over the batch size here
        (None, 3, 8, 8, 3),
        (2, None, 8, 8, 3),
        (2, 3, 8, 8, 3),
    ],
)
def test_dynamic_dimensions(shape):
    inner = tower()
    inputs = keras.Input(batch_shape=shape)
    outputs = TimeDistributed(inner)(inputs)
    assert outputs.shape == (shape[0], shape[1], 4)
    model = keras.Model(inputs, outputs)
    expected = np.stack([inner(images()[:, t]) for t in range(3)], axis=1)
    np.testing.assert_allclose(
        model.predict(images(), verbose=0), expected, rtol=1e-5, atol=1e-6
    )


def test_dynamic_image_size():
    layer = keras.layers.Conv2D(4, 3, padding="same")
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, TimeDistributed(layer)(inputs))
    assert model.predict(images(), verbose=0).shape == (2, 3, 8, 8, 4)


def test_moving_statistics_are_updated_once_per_step():
    """Guards against Keras' T updates per training step."""
    inner = tower()
    layer = TimeDistributed(inner)
    layer(images(), training=True)
    maps = inner.get_layer("conv")(images().reshape(-1, 8, 8, 3))
    mean = np.mean(maps, axis=(0, 1, 2))
    np.testing.assert_allclose(
        inner.get_layer("bn").moving_mean, 0.01 * mean, rtol=1e-4, atol=1e-7
    )


def test_inference_leaves_moving_statistics():
    inner = tower()
    TimeDistributed(inner)(images(), training=False)
    np.testing.assert_array_equal(inner.get_layer("bn").moving_mean, np.zeros(4))


def test_masked_input_takes_keras_path():
    layer = keras.layers.LSTM(2)
    x = np.ones((2, 3, 4, 5), "float32")
    mask = np.array([[[True] * 4, [True] * 2 + [False] * 2, [True] * 4]] * 2)
    expected = keras.layers.TimeDistributed(layer)(x, mask=mask)
    np.testing.assert_array_equal(TimeDistributed(layer)(x, mask=mask), expected)


def test_save_and_load(tmp_path):
    model = keras.Sequential([keras.Input((3, 8, 8, 3)), TimeDistributed(tower())])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.layers[0]) is TimeDistributed
    np.testing.assert_array_equal(loaded(images()), model(images()))


def test_trainable_flags_survive_wrapping():
    inner = tower()
    inner.get_layer("bn").trainable = False
    model = keras.Sequential([keras.Input((3, 8, 8, 3)), TimeDistributed(inner)])
    assert [weight.name for weight in model.trainable_weights] == ["kernel", "bias"]
