"""JAX: one device and two, and its weights under TensorFlow."""

import numpy as np
import pytest
from conftest import small_model
from device_fits import child, same

from stfn_keras.data.source import open_source
from stfn_keras.evaluation.scoring import score_videos, trained_network
from stfn_keras.training.run import Run

SCRIPT = """
import json
from pathlib import Path
from device_fits import fit

ONE = {"strategy": "one_device", "cpu_devices": 2}
MANY = {"strategy": "auto", "cpu_devices": 2}
case = {"epochs": 2, "optimizer": "adamw", "rate": 1e-3, "weight_decay": 1e-2,
        "ema": 0.9, "clip_norm": 0.5, "dropout": 0.5}
folder = Path("%s")
found = {
    "one": fit(folder / "one", ONE, **case),
    "many": fit(folder / "many", MANY, **case),
    "whole": fit(folder / "whole", ONE, epochs=1, batchnorm=False),
    "parts": fit(folder / "parts", MANY, epochs=1, batchnorm=False, accumulate_steps=2),
}
fit(folder / "kept", MANY, **case, stop=5)  # two steps into the second epoch
found["kept"] = fit(folder / "kept", ONE, **case)
print(json.dumps({name: rows.to_dict("list") for name, rows in found.items()}))
"""

WHOLE_RUN = """
import json
from pathlib import Path
from conftest import small_model, small_training
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import open_source
from stfn_keras.evaluation.scoring import score_videos, trained_network
from stfn_keras.training.train import train

data, out = Path("%s"), Path("%s")
run = train(data, out, small_model(blocks=0), small_training())
source = open_source(data, run.manifest()[1], 1, "e", "dis", {"rgb": 16, "flow": 16})
scores = score_videos(trained_network(run), source, samplings=1, crops=1, batch=4,
                      described="", classes=run.labels)
print(json.dumps(scores.logits.tolist()))
"""


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(tmp_path):
    """With dropout too: one program draws the masks of the whole batch."""
    found = child(SCRIPT % tmp_path, "jax")
    same(found["one"], found["many"])
    same(found["one"], found["kept"])
    same(found["whole"], found["parts"])


@pytest.mark.slow
def test_a_run_trained_under_jax_scores_alike_under_tensorflow(dataset, tmp_path):
    logits = child(WHOLE_RUN % (dataset, tmp_path / "run"), "jax")
    run = Run.open(tmp_path / "run")
    assert run.model == small_model(blocks=0)
    source = open_source(
        dataset, run.manifest()[1], 1, "e", "dis", {"rgb": 16, "flow": 16}
    )
    scores = score_videos(
        trained_network(run), source, samplings=1, crops=1, batch=4, described="",
        classes=run.labels,
    )  # fmt: skip
    np.testing.assert_allclose(scores.logits, logits, atol=1e-4)
