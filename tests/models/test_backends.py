"""The networks run under JAX, where no TensorFlow is installed."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
sys.modules["tensorflow"] = None  # as if it were not installed

import numpy as np
import keras
from stfn_keras import models
from stfn_keras.config import ModelConfig

assert keras.backend.backend() == "jax"
config = ModelConfig(
    tower="tiny", segments=2, rgb_size=16, pairs=1, blocks=1, zero_init=True,
    feature_norm="layer", position=True, aggregate="attention", combination="softmax",
    modality_dropout=0.5,
)
mlp = models.TemporalMLP()
assert mlp(np.ones((1, 2, 8), "float32")).shape == (1, 2, 8)
model = models.build(config, classes=3)
models.freeze(model.get_layer("rgb_features").layer, 0.5, True)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.1), loss={"logits": loss})
x = {
    "rgb": np.zeros((2, 2, 16, 16, 3), "uint8"),
    "flow": np.full((2, 2, 16, 16, 2), 128, "uint8"),
}
history = model.fit(x, {"logits": np.array([0, 1])}, verbose=0)
assert np.isfinite(history.history["loss"][0])
assert sys.modules["tensorflow"] is None
print("trained a step")
"""


@pytest.mark.slow
def test_a_training_step_under_jax_without_tensorflow():
    pytest.importorskip("jax")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling takes most of the time
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "trained a step" in done.stdout
