"""What binds a stage: four figures for every stage, and advice that follows them."""

import json

import pytest
from conftest import small_model, small_training
from forked import run

from stfn_keras.errors import UserError
from stfn_keras.training.bottleneck import Throughput
from stfn_keras.training.throughput import measure_throughput

FIGURES = ("reading", "input", "step", "both")


@pytest.mark.parametrize("stage", ["fusion", "end_to_end"])
def test_every_kind_of_stage_is_measured(dataset, stage):
    found = measure_throughput(
        dataset, small_model(), small_training(), stage, steps=2, seconds=0.1
    )
    assert found.stage == stage
    assert min(getattr(found, name) for name in FIGURES) > 0
    assert found.batch == (4 if stage != "end_to_end" else 12)  # of 16 wanted


def test_the_command_prints_json_and_leaves_the_data_alone(dataset):
    before = sorted(dataset.iterdir())
    done = run(
        "-m", "stfn_keras.data.benchmark", f"--data={dataset}", "--tower=tiny",
        "--rgb_size=16", "--flow_size=16", "--pairs=2", "--segments=3",
        "--rgb_segments=2", "--rgb_batch=4", "--steps=2", "--seconds=0.1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stage"] == "rgb"
    assert found["binds"] in ("reading", "decoding", "step", "all")
    assert sorted(dataset.iterdir()) == before


@pytest.mark.parametrize(
    ("rates", "binds", "said"),
    [
        ((900, 90, 10, 9.9), "step", "The step binds: the input is 9.0 times"),
        ((900, 40, 10, 7), "step", "30% is lost"),
        ((900, 90, 180, 80), "decoding", "is 0.50 times as fast as the step; decoding"),
        ((95, 90, 180, 80), "reading", "local or faster disk"),
        ((900, 90, 88, 80), "all", "neither waits"),
    ],
)
def test_the_advice_follows_from_the_figures(rates, binds, said):
    found = Throughput("rgb", 16, *rates)
    assert found.binds == binds
    assert said in found.explained()
    assert all(f"{rate:,.1f} videos/s" in found.explained() for rate in rates)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ({"network": "spatial"}, {"stage": "flow"}, "has the stages rgb, end_to_end"),
        ({}, {"stage": "rgb", "steps": 1}, "--steps of 2 or more"),
        ({}, {"stage": "rgb", "seconds": 0.0}, "--seconds above 0"),
        ({"pairs": 5}, {"stage": "flow"}, "--pairs=5, but the data hold 2"),
    ],
)
def test_what_cannot_be_measured_is_refused(dataset, model, arguments, message):
    with pytest.raises(UserError, match=message):
        measure_throughput(dataset, small_model(**model), small_training(), **arguments)


def test_no_dataset_is_one_line(tmp_path):
    with pytest.raises(UserError, match="must be a dataset"):
        measure_throughput(tmp_path / "no", small_model(), small_training(), "rgb")
