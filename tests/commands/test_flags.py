"""Flags come from the dataclasses, and wrong ones are one line and exit 1."""

import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from absl import flags as absl_flags
from forked import run

from stfn_keras import flags
from stfn_keras.config import (
    ModelConfig,
    PixelStageConfig,
    PreparationConfig,
    TrainingConfig,
)
from stfn_keras.errors import UserError

ROOT = Path(__file__).parents[2]
ABLATE, GRID = "stfn_keras.experiments.ablate", "recipes/ablation.yaml"


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train.py", "--data", "nowhere", "--out", "x"], "nowhere must be a dataset"),
        (["train.py", "--data=d", "--out=x", "--rgb_scales=1,big"], "--rgb_scales"),
        (["train.py", "--data=d", "--out=x", "--stages=fusion,rgb"], "keep the order"),
        (["train.py", "--data=d", "--out=x", "--stages=tower"], "--stages must be one"),
        (
            ["train.py", "--data=d", "--out=x", "--split=1", "--splits=1"],
            "Received both",
        ),
        (["train.py", "--data=d", "--out=x", "--seeds=2"], "give --splits=1 too"),
        (
            ["train.py", "--data=d", "--out=x", "--splits=1,b"],
            "--splits must be a comma",
        ),
        (
            ["-m", ABLATE, "--grid=no.yaml", "--out=x"],
            "expected a grid in YAML: no.yaml",
        ),
        (
            ["-m", ABLATE, f"--grid={GRID}", "--out=x"],
            "expected --towers_from, or --data",
        ),
        (["evaluate.py", "--run", "nowhere"], "run directory made by train.py"),
        (["export.py", "--run", "nowhere", "--out", "x"], "run directory made by"),
        (["predict.py", "--model", "nowhere", "clip.avi"], "made by export.py"),
        (["predict.py", "--model", "nowhere"], "name at least one video"),
        (["evaluate.py", "--run", "x", "3x10"], "expected flags alone"),
        (["evaluate.py"], "expected --run: run directory, or its archive"),
        (["evaluate.py", "--rum", "x"], "flag 'rum'. Did you mean: run"),
    ],
)
def test_a_user_error_is_one_line_and_a_failure(arguments, message):
    found = run(*arguments)
    assert found.returncode == 1
    assert found.stdout == ""
    assert re.fullmatch(rf"error: .*{re.escape(message)}.*\n", found.stderr)


def test_a_user_error_is_the_same_in_a_new_process():
    arguments = ("train.py", "--data", "nowhere", "--out", "x")
    found, forked = command(*arguments), run(*arguments)
    assert found.returncode == forked.returncode == 1
    assert (found.stdout, found.stderr) == (forked.stdout, forked.stderr)


def test_an_unknown_tower_names_those_there_are():
    found = command("train.py", "--data=d", "--out=x", "--tower=vgg")
    assert found.returncode == 1
    assert "resnet101" in found.stderr + found.stdout


@pytest.mark.parametrize("name", ["train", "evaluate", "export", "predict"])
def test_help_lists_the_commands_flags(name):
    found = command(f"{name}.py", "--help")
    assert found.returncode == 0
    assert {"train": "--rgb_epochs", "evaluate": "--views", "export": "--out",
            "predict": "--model"}[name] in found.stdout  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(tower="vgg"), "--tower must be one of"),
        (lambda: ModelConfig(segments=0), "segments must be 1 or more"),
        (lambda: PreparationConfig(size="8"), "of 16 pixels or more"),
        (lambda: PreparationConfig(flow=()), "at least one preset"),
        (lambda: PixelStageConfig(frozen=2.0), "must be in 0..1"),
        (lambda: PixelStageConfig(scales=(0.0,)), "0 excluded"),
        (lambda: TrainingConfig(split=0), "split must be 1 or more"),
        (lambda: TrainingConfig(seed=-1), "--seed must be 0 to"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make()


def test_list_flags_have_their_elements_type():
    """An empty default says nothing of the type; the annotation does."""
    holder = absl_flags.FlagValues()
    with mock.patch.object(absl_flags, "FLAGS", holder):
        absl_flags.DEFINE_list("x_milestones", [], "", flag_values=holder)
        holder(["program", "--x_milestones=3,6"])
        assert flags._parsed("x_milestones", tuple[int, ...]) == (3, 6)
        holder(["program", "--x_milestones=3,six"])
        with pytest.raises(UserError, match="list of int values. Received: 3,six"):
            flags._parsed("x_milestones", tuple[int, ...])


def test_importing_the_package_imports_nothing_heavy():
    found = command(
        "-c",
        "import sys, stfn_keras, stfn_keras.config, stfn_keras.commands.train;"
        "print(sorted({'tensorflow', 'keras', 'cv2', 'numpy'} & set(sys.modules)))",
    )
    assert found.stdout == "[]\n"
