"""Two devices of one machine against one: the same losses (promise 14 too)."""

import pytest
from device_fits import child, same

from stfn_keras.config import MachineConfig
from stfn_keras.errors import UserError
from stfn_keras.training.engines.strategy import open_strategy

SCRIPT = """
import json, tempfile
from pathlib import Path
from device_fits import fit

ONE = {"strategy": "one_device", "cpu_devices": 2}
MANY = {"strategy": "%s", "cpu_devices": 2}
CASES = {
    "sgd": {"clip_norm": 0.5, "weight_decay": 1e-3},
    "adam": {"optimizer": "adam", "rate": 1e-3, "ema": 0.9, "clip_norm": 0.5,
             "weight_decay": 1e-3, "partial": True},
    "adamw": {"optimizer": "adamw", "rate": 1e-3, "weight_decay": 1e-2, "ema": 0.9},
    "streams": {"name": "late_fusion", "epochs": 1},
}
found = {}

def rows(label, machine, **case):
    folder = tempfile.mkdtemp()
    found[label] = fit(folder, machine, **{"epochs": 2, **case}).to_dict("list")

for name, case in CASES.items():
    rows(f"{name} one", ONE, **case)
    rows(f"{name} many", MANY, **case)

case = {**CASES["adamw"], "epochs": 2}
for name, first, second in (("out", ONE, MANY), ("in", MANY, ONE)):
    folder = tempfile.mkdtemp()
    fit(folder, first, **case, stop=5)  # two steps into the second epoch
    found[f"adamw {name}"] = fit(folder, second, **case).to_dict("list")

rows("parts one", ONE, epochs=1, batchnorm=False)
rows("parts many", MANY, epochs=1, batchnorm=False, accumulate_steps=2)
rows("dropout one", ONE, epochs=1, dropout=0.5)
rows("dropout many", MANY, epochs=1, dropout=0.5)
print(json.dumps(found))
"""


def check(found):
    for name in ("sgd", "adam", "adamw", "streams"):
        same(found[f"{name} one"], found[f"{name} many"])
    assert found["sgd one"]["loss"] != found["adamw one"]["loss"]
    for name in ("out", "in"):  # a checkpoint of either is continued by the other
        same(found["adamw one"], found[f"adamw {name}"])
    same(found["parts one"], found["parts many"])


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one():
    found = child(SCRIPT % "mirrored")
    check(found)
    # Each replica draws masks of its own: not what one device draws, yet it learns.
    assert found["dropout one"]["loss"] != found["dropout many"]["loss"]


def test_the_strategy_is_of_the_backend():
    with pytest.raises(UserError, match="needs KERAS_BACKEND=jax. Received: tensor"):
        open_strategy(MachineConfig(strategy="data_parallel"))
