"""The history's rows and curves, and what the bar says where there is no terminal."""

import math

import cv2
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from stfn_keras.training import history, progress


def row(stage, epoch, **values):
    return {"stage": stage, "epoch": epoch, "loss": 1.0 / epoch, **values}


def test_a_repeated_epoch_replaces_its_row(tmp_path):
    path = tmp_path / "history.csv"
    for epoch in (1, 2):
        history.append(path, row("rgb", epoch))
    history.append(path, {"stage": "rgb", "epoch": 1, "loss": 7.0})
    table = history.read(path)
    assert table["epoch"].tolist() == [1, 2]
    assert table["loss"].tolist() == [7.0, 0.5]


def test_new_columns_may_come_mid_way(tmp_path):
    path = tmp_path / "history.csv"
    history.append(path, row("rgb", 1))
    history.append(path, row("fusion", 1, val_top1=0.5))
    table = history.read(path)
    assert math.isnan(table["val_top1"][0])
    assert table["val_top1"][1] == 0.5


def test_a_comma_in_a_value_does_not_shift_the_columns(tmp_path):
    history.append(tmp_path / "h.csv", row("rgb", 1, note="a, b", rate=0.5))
    assert history.read(tmp_path / "h.csv")["rate"].tolist() == [0.5]


def panels(tmp_path, monkeypatch, rows):
    """The axes of the drawn figure, and the picture's height."""
    path, found = tmp_path / "history.csv", []
    for each in rows:
        history.append(path, each)
    save = history.save_figure
    monkeypatch.setattr(
        history, "save_figure", lambda f, p: (found.extend(f.axes), save(f, p))
    )
    history.draw(path, tmp_path / "history.png")
    return found, cv2.imread(str(tmp_path / "history.png")).shape[0]


def test_every_stage_there_is_has_its_row_of_curves(tmp_path, monkeypatch):
    rows = [row("flow", e, top1=0.1 * e, rate=1e-3, seconds=60) for e in (1, 2, 3)]
    rows += [
        row("fusion", e, top1=0.9, val_top1=v, val_loss=2.0, rate=10.0**-e, seconds=9,
            rgb_logits_loss=1.5)
        for e, v in ((1, 0.2), (2, 0.6), (3, 0.4))
    ]  # fmt: skip
    axes, height = panels(tmp_path, monkeypatch, rows)
    assert len(axes) == 6
    assert [a.get_title(loc="left") for a in axes[::3]] == [
        "flow: 3 epochs, 3 min", "fusion: 3 epochs, 27 s",
    ]  # fmt: skip
    legends = [[t.get_text() for t in axes[i].get_legend().get_texts()]
               for i in (0, 1, 3, 4)]  # fmt: skip
    assert legends[0] == ["training"]
    assert legends[1] == ["training", "last: 30.0 %"]
    assert legends[2] == ["training", "validation", "rgb head"]
    assert legends[3] == ["training", "validation", "best: 60.0 %, epoch 2"]
    assert [axes[i].get_yscale() for i in (2, 5)] == ["linear", "log"]
    assert height > 400
    assert not plt.get_fignums()  # closed: runs draw many


def test_one_epoch_is_drawn_as_points(tmp_path, monkeypatch):
    axes, _ = panels(tmp_path, monkeypatch, [row("rgb", 1, top1=0.5, rate=1e-3)])
    assert all(line.get_marker() == "o" for a in axes for line in a.get_lines())


def test_a_history_without_rows_draws_nothing(tmp_path):
    history.draw(tmp_path / "history.csv", tmp_path / "history.png")
    assert not (tmp_path / "history.png").exists()


def test_rows_of_a_stage_that_went_back_are_drawn_in_order(tmp_path):
    path = tmp_path / "history.csv"
    for epoch in (1, 2, 3, 2):
        history.append(path, row("rgb", epoch))
    assert pd.read_csv(path)["epoch"].tolist() == [1, 3, 2]
    assert history.read(path)["epoch"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.003, "3e-3"), (2.5e-5, "2.5e-5"), (1.0, "1"), (0.0, "0")]
)
def test_rates_are_written_as_people_do(rate, shown):
    assert history.short_rate(rate) == shown


FIGURES = {"loss": 0.5, "top1": 0.25, "mean_class": 0.2}


def walk(bar, epochs, steps, done=0):
    with bar:
        for epoch in range(done, epochs):
            bar.at(epoch)
            for _ in range(steps):
                bar.advance(lambda: FIGURES)


def test_without_a_terminal_lines_are_few_and_plain(capsys):
    """A bar in a log file is thousands of carriage returns."""
    bar = progress.Progress("rgb", epochs=3, steps=5, batch=8)
    walk(bar, 3, 5)
    said = capsys.readouterr().err
    assert "\r" not in said
    assert said.startswith("rgb epoch 3/3 batch 5/5, loss 0.500, top1 0.250, ")
    assert said.count("\n") == 1


def test_lines_come_at_their_interval(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    walk(progress.Progress("rgb", 2, 3, 8), 2, 3, done=1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"rgb epoch 2/2 batch {step}/3" for step in (1, 2, 3)
    ]


def test_speed_and_time_left_count_videos():
    """Two epochs of 10 batches of 4; 5 batches in 10 s leave 15, thus 30 s."""
    bar = progress.Progress("flow", epochs=2, steps=10, batch=4)
    bar.at(0)
    bar.advance(lambda: FIGURES)
    began, _ = bar._counted_from
    for _ in range(5):
        bar.advance(lambda: FIGURES)
    said = bar.line(began + 10.0)
    assert said == "flow epoch 1/2 batch 6/10, 2 videos/s, 00:28 left"


def test_a_stage_that_goes_on_counts_what_lies_behind_it():
    bar = progress.Progress("flow", epochs=5, steps=10, batch=4)
    bar.at(3, step=2)
    assert bar.videos == 128


def test_a_terminal_shows_a_bar_of_videos(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    walk(progress.Progress("rgb", 2, 2, 8), 2, 2)
    said = capsys.readouterr().err
    assert "32/32" in said
    assert "videos/s" in said
    assert "loss 0.500, top1 0.250" in said
