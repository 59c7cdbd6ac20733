"""A deterministic training that is killed ends with the undisturbed one's weights."""

import signal
from pathlib import Path

import forked
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

# A process of its own: determinism is set before TensorFlow runs, and kills are real.
TRAINING = """
import dataclasses, os, signal, sys
from pathlib import Path
from conftest import small_model, small_training
from stfn_keras.config import MachineConfig, StageConfig, TowerStageConfig
from stfn_keras.training import checkpoint
from stfn_keras.training.train import train

data, out, kill = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
place, _, count = kill.partition(":")


def dying(function, before):
    left = [int(count)]

    def called(*arguments, **options):
        left[0] -= 1
        if before and not left[0]:
            os.kill(os.getpid(), getattr(signal, sys.argv[4]))
        result = function(*arguments, **options)
        if not before and not left[0]:
            os.kill(os.getpid(), getattr(signal, sys.argv[4]))
        return result

    return called


if place == "in_save":  # between the file of the weights and the state that names it
    checkpoint.write_state = dying(checkpoint.write_state, before=False)
elif place == "after_save":
    checkpoint.write_json = dying(checkpoint.write_json, before=False)
tower = TowerStageConfig(
    epochs=3, batch=4, rate=1e-2, schedule="cosine", warmup=1.0, segments=2,
    scales=(1.0, 0.75), ema=0.8, mixup=0.3, dropout=0.5, randaugment=1, erase=0.5,
    accumulate_steps=2, partial_batchnorm=False, optimizer="adamw", weight_decay=0.01,
)
settings = small_training(
    rgb=tower, stages=("rgb", "flow", "fusion"),
    flow_stage=dataclasses.replace(tower, epochs=0),
    fusion=StageConfig(epochs=3, batch=4, rate=1e-2, ema=0.5, clip_norm=1.0),
    class_weights="balanced",
)
machine = MachineConfig(deterministic=True, checkpoint_seconds=0.0)
train(data, out, small_model(), settings, machine=machine)
"""


def run(data: Path, out: Path, kill: str = "never:0", by: str = "SIGKILL"):
    return forked.run("-c", TRAINING, data, out, kill, by, cwd=out.parent)


def digest(out: Path) -> str:
    found = forked.run("-m", "stfn_keras.training.digest", out)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_a_run_killed_again_and_again_ends_with_the_weights_of_the_undisturbed(
    dataset, tmp_path
):
    whole = run(dataset, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    cut = tmp_path / "cut"
    assert run(dataset, cut, "in_save:2").returncode == -signal.SIGKILL
    asked = run(dataset, cut, "after_save:3", by="SIGTERM")
    assert asked.returncode == 1
    assert "in epoch 2 of the rgb stage, after step 1" in asked.stderr
    assert run(dataset, cut, "after_save:14").returncode == -signal.SIGKILL
    assert not (cut / "checkpoints" / "fusion" / "epoch-0003.keras").exists()
    assert run(dataset, cut).returncode == 0
    assert digest(cut) == digest(tmp_path / "whole")
    histories = [
        pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds")
        for name in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(*histories)
