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


def forked_tower() -> keras.Model:
    """Two inputs in a dictionary; a list and a tensor out of them."""
    inputs = {
        "maps": keras.Input((8, 8, 3), name="maps"),
        "vectors": keras.Input((5,), name="vectors"),
    }
    maps = keras.layers.Conv2D(4, 3, name="conv")(inputs["maps"])
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    both = keras.layers.Concatenate()([pooled, inputs["vectors"]])
    outputs = {"maps": [maps, pooled], "both": both}
    return keras.Model(inputs, outputs, name="forked_tower")


@pytest.mark.parametrize("shape", [(None, None), (None, 3), (2, None), (2, 3)])
def test_several_inputs_and_outputs(shape, tmp_path):
    inner = forked_tower()
    x = {"maps": images(), "vectors": np.ones((2, 3, 5), "float32")}
    inputs = {
        "maps": keras.Input(batch_shape=(*shape, 8, 8, 3), name="maps"),
        "vectors": keras.Input(batch_shape=(*shape, 5), name="vectors"),
    }
    outputs = TimeDistributed(inner)(inputs)
    shapes = keras.tree.map_structure(lambda t: t.shape, outputs)
    assert outputs["maps"][0].shape == (*shape, 6, 6, 4)
    assert [t.shape for t in (outputs["maps"][1], outputs["both"])] == [
        (*shape, 4), (*shape, 9),
    ]  # fmt: skip
    model = keras.Model(inputs, outputs)
    received = model(x)
    steps = [inner({n: v[:, t] for n, v in x.items()}) for t in range(3)]
    for ours, theirs in (
        (received["both"], [step["both"] for step in steps]),
        (received["maps"][0], [step["maps"][0] for step in steps]),
    ):
        expected = np.stack(theirs, axis=1)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert keras.tree.map_structure(lambda t: t.shape, loaded.output) == shapes
    np.testing.assert_array_equal(loaded(x)["both"], received["both"])


def test_a_tensor_without_time_is_refused():
    with pytest.raises(ValueError, match="3 dimensions or more.*Received: .2, 5"):
        TimeDistributed(keras.layers.Dense(2))(np.ones((2, 5), "float32"))
