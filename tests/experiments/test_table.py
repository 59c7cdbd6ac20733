"""What rows are compared with, on made-up results; nothing is trained."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stfn_keras.evaluation.mcnemar import exact
from stfn_keras.evaluation.scores import Scores
from stfn_keras.experiments import plot
from stfn_keras.experiments.comparison import compared
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.result import Result
from stfn_keras.experiments.table import as_markdown, in_words, make_table

VIDEOS = 20  # of four classes


def made_up(model, right, right_shuffled=None, seed=0):
    """A network's result: as many videos are right, from the first on."""
    label = np.arange(VIDEOS) % 4

    def predicted(count):
        return np.where(np.arange(VIDEOS) < count, label, (label + 1) % 4)

    logits = np.eye(4, dtype=np.float32)[predicted(right)]
    ids = np.array([f"video {n:02}" for n in range(VIDEOS)])
    scores = Scores(ids, label, logits, np.array(["a", "b", "c", "d"]), {})
    orders = [] if right_shuffled is None else [predicted(right_shuffled)]
    shuffled = np.array(orders, np.int64).reshape(-1, VIDEOS)
    return {(1, seed): Result(scores, shuffled, {"model": model, "seed": seed}, 1.0)}


LATE, FULL = made_up("late", 10), made_up("full", 19, right_shuffled=12)
ROWS = {
    "late fusion": (Row("late fusion"), LATE),
    "full": (Row("full"), FULL),
    "full again": (Row("full again"), FULL),
    "shuffled": (Row("shuffled", shuffle=True), FULL),
    "MLP": (Row("MLP", against="full"), made_up("mlp", 11)),
    "late fusion, a": (Row("late fusion, a", classes=("a",)), LATE),
    "full, a": (Row("full, a", classes=("a",)), FULL),
    "shuffled, a": (Row("shuffled, a", shuffle=True, classes=("a",)), FULL),
}


def of(*names):
    grid = Grid(tuple(ROWS[name][0] for name in names), reference="late fusion")
    return grid, {name: ROWS[name][1] for name in names}


def test_what_a_row_is_compared_with():
    found = compared(*of(*ROWS))
    assert {name: c.against for name, c in found.items()} == {
        "late fusion": "", "full": "late fusion", "full again": "late fusion",
        "shuffled": "full", "MLP": "full", "late fusion, a": "",
        "full, a": "late fusion", "shuffled, a": "full, a",
    }  # fmt: skip
    assert found["full"].p == exact(9, 0)
    assert found["shuffled"].p == exact(0, 7)
    assert (found["shuffled"].verdict, found["MLP"].verdict) == ("worse", "worse")
    assert (found["late fusion, a"].verdict, found["full, a"].verdict) == ("", "noise")


def test_a_shuffled_row_without_its_twin_is_compared_with_the_reference():
    found = compared(*of("late fusion", "shuffled"))
    assert found["shuffled"].against == "late fusion"


def test_the_same_comparison_counts_once():
    names = ("late fusion", "full", "full again", "MLP")
    found = compared(*of(*names))
    assert found["full"] == found["full again"]
    assert found["full"].p_holm == pytest.approx(2 * found["full"].p)


def test_the_table_says_what_each_row_is_compared_with():
    table = make_table(*of(*ROWS))
    lines = as_markdown(table).splitlines()
    assert lines[0].endswith("| p | against |  |")
    assert lines[6] == "|  | MLP | 55.0 | 55.0 | 0.0078 | full | worse |"
    assert lines[7].endswith("|  |  |  |")
    assert "Worse than full: shuffled, MLP." in in_words(table)
    assert "Better than late fusion: full, full again." in in_words(table)


def test_the_references_line_crosses_rows_of_its_classes_alone(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plot, "save_figure", lambda figure, _: figures.append(figure))
    rows = make_table(*of("late fusion", "full", "late fusion, a", "MLP")).rows
    plot.draw_table(rows, "late fusion", tmp_path / "table.png")
    (axes,) = figures[0].axes
    (line,) = (c for c in axes.collections if "late fusion" in str(c.get_label()))
    crossed = [tuple(segment[:, 1]) for segment in line.get_segments()]
    assert crossed == [(0.5, 1.5), (1.5, 2.5), (3.5, 4.5)]
    plt.close(figures[0])
