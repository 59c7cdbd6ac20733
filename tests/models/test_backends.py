"""Networks run under JAX, where no TensorFlow is installed, and agree with its."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models.networks.every_network import config_of, videos
from small_clip_tower import use_small_clip_tower
from small_resnet import use_small_resnet

from stfn_keras import models
from stfn_keras.config import MOTIONS, NETWORKS

TESTS = Path(__file__).parents[1]
SCRIPT = """
import json, pathlib, sys
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

# What TensorFlow computed of every network, with the same weights.
from small_clip_tower import use_small_clip_tower
from small_resnet import use_small_resnet
import pytest

use_small_resnet(pytest.MonkeyPatch())
use_small_clip_tower(pytest.MonkeyPatch())
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    stored = json.loads(file.read_text()).items()
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in stored}
    model = models.build(ModelConfig(**values), 4)
    model.load_weights(file.with_suffix(".weights.h5"))
    kept = np.load(file.with_suffix(".npz"))
    found = model.predict_on_batch({name: kept[name] for name in model.input})
    np.testing.assert_allclose(found["logits"], kept["logits"], rtol=1e-3, atol=1e-4)
    print("agreed", file.stem)
assert sys.modules["tensorflow"] is None
print("trained a step")
"""


def configurations():
    """Every network, and what goes into one from lifts and motion of features."""
    for name in NETWORKS:
        yield name, config_of(name)
    plain = dataclasses.replace(
        config_of("stfn"), tower="resnet50", rgb_size=32, flow_size=32, frames=3
    )
    for motion in MOTIONS[1:]:
        lifted = dataclasses.replace(plain, rgb_motion=motion, feature_motion=motion)
        yield motion, lifted


def kept_by_tensorflow(folder):
    """Weights, inputs and logits of every network."""
    for name, config in configurations():
        network = models.build(config, 4)
        inputs = videos(network)
        logits = network.predict_on_batch(inputs)["logits"]
        (folder / f"{name}.json").write_text(json.dumps(dataclasses.asdict(config)))
        network.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", logits=logits, **inputs)


@pytest.mark.slow
def test_jax_trains_and_agrees_without_tensorflow(tmp_path, monkeypatch):
    pytest.importorskip("jax")
    use_small_resnet(monkeypatch)
    use_small_clip_tower(monkeypatch)
    kept_by_tensorflow(tmp_path)
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling takes most of the time
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "trained a step" in done.stdout
    assert done.stdout.count("agreed") == len(list(configurations()))
