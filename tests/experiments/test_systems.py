"""Systems side by side: what networks cost, and the table of accuracies beside it."""

import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from stfn_keras.commands.systems import read_systems
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scores import Scores
from stfn_keras.experiments import cost, systems
from stfn_keras.files import write_json

IDS, CLASSES = np.array([f"v{i}" for i in range(4)]), np.array(["a", "b"])
LABEL = np.array([0, 0, 1, 1])


def score_file(path, right):
    """Scores that are right of these videos, by a margin of 2, else wrong by 1."""
    sign = np.where(np.isin(np.arange(4), right), 2.0, -1.0)
    logits = np.zeros((4, 2), np.float32)
    logits[np.arange(4), LABEL] = sign
    Scores(IDS, LABEL, logits, CLASSES).save(path)
    return str(path)


def test_operations_of_known_layers():
    """A multiply-add counts as two; biases and a softmax add a little."""
    pixels = keras.Input((1, 8, 8, 3), name="rgb")
    x = keras.layers.Reshape((8, 8, 3))(pixels)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(x))
    network = keras.Model({"rgb": pixels}, {"scores": x})
    expected = 2 * (8 * 8 * 9 * 3 * 4) + 2 * (256 * 2)
    assert cost.operations(network) == expected


def test_score_files_have_accuracies_and_no_cost(tmp_path):
    named = {
        "A": score_file(tmp_path / "a.npz", [0, 1, 2]),
        "B": score_file(tmp_path / "b.npz", [3]),
    }
    other = score_file(tmp_path / "other.npz", [2, 3])
    table = systems.compare_systems(named, other, on="logits")
    assert table["system"].tolist() == ["A", "B"]
    assert table["video_top1"].tolist() == [0.75, 0.25]
    assert table["fused_top1"].tolist() == [1.0, 0.5]  # a 2 outweighs a -1
    assert table[["parameters", "gflops", "milliseconds"]].isna().all(axis=None)
    text = systems.as_markdown(table, "MIFS").splitlines()
    assert text[0] == "|  | top-1, % | mean class, % | with MIFS, top-1 % |"
    assert text[2] == "| A | 75.0 | 75.0 | 100.0 |"
    systems.write_systems(table, tmp_path / "out", "MIFS")
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "systems.csv", "systems.md",
    ]  # fmt: skip


def test_the_folder_of_trajectories_has_scores_and_no_cost(tmp_path):
    (tmp_path / "report").mkdir()
    score_file(tmp_path / "report" / "scores.npz", [0])
    write_json(tmp_path / "config.json", {"kind": "stfn_keras trajectories"})
    table = systems.compare_systems({"iDT": str(tmp_path)})
    assert table["video_top1"].tolist() == [0.25] and table["gflops"].isna().all()


def test_other_videos_are_refused(tmp_path):
    ours = score_file(tmp_path / "a.npz", [0])
    Scores(IDS[:3], LABEL[:3], np.zeros((3, 2), np.float32), CLASSES).save(
        tmp_path / "b.npz"
    )
    with pytest.raises(UserError, match="expected the same videos"):
        systems.compare_systems({"A": ours, "B": str(tmp_path / "b.npz")})


def evaluated(trained, folder, scores):
    """A copy of the run with a report of these scores."""
    shutil.copytree(trained.folder, folder)
    (folder / "report").mkdir(exist_ok=True)
    shutil.copy(scores, folder / "report" / "scores.npz")
    return folder


def test_names_are_distinct():
    assert read_systems(["A=runs/a", "B=runs/b=1"]) == {"A": "runs/a", "B": "runs/b=1"}
    with pytest.raises(UserError, match="Received: A of runs/a and of runs/b: call"):
        read_systems(["A=runs/a", "A=runs/b"])
    with pytest.raises(UserError, match="Received: none"):
        read_systems([])


def test_a_folder_of_splits_has_the_cost_of_its_run(tmp_path, monkeypatch):
    """Its scores were found, its run was not: all its costs were empty."""
    run = tmp_path / "runs" / "split1-seed0"
    (run / "report").mkdir(parents=True)
    write_json(run / "config.json", {"kind": "stfn_keras run"})
    score_file(run / "report" / "scores.npz", [0])
    opened = []
    monkeypatch.setattr(systems.Run, "open", lambda folder: opened.append(folder))
    monkeypatch.setattr(systems, "cost_of", lambda _: cost.Cost(2_000_000, 3.0, 4.0))
    table = systems.compare_systems(
        {"folder": str(run.parent), "run": str(run), "report": str(run / "report")},
        timed=False,
    )
    assert opened == [run, run]
    assert table["gflops"].notna().tolist() == [True, True, False]


def test_another_backend_is_refused(trained, tmp_path, monkeypatch):
    scores = score_file(tmp_path / "scores.npz", [0, 1])
    folder = evaluated(trained, tmp_path / "run", scores)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="KERAS_BACKEND=tensorflow.* Received: jax"):
        systems.compare_systems({"STFN": str(folder)})
    systems.compare_systems({"iDT": scores})  # scores alone need none


@pytest.mark.slow
def test_a_run_has_a_cost(trained, tmp_path):
    scores = score_file(tmp_path / "scores.npz", [0, 1])
    folder = evaluated(trained, tmp_path / "run", scores)
    table = systems.compare_systems({"STFN": str(folder), "iDT": scores})
    own, none = table.to_dict("records")
    assert own["parameters"] > 100_000 and own["gflops"] > 0
    assert own["milliseconds"] > 0 and own["minutes"] > 0
    history = pd.read_csv(folder / "history.csv")
    assert own["minutes"] == pytest.approx(history["seconds"].sum() / 60)
    assert np.isnan(none["gflops"])
    systems.write_systems(table, tmp_path / "out")
    assert (tmp_path / "out" / "systems.png").stat().st_size > 10_000
