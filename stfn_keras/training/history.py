"""The history of a run: a row per stage and epoch, and its curves in one picture.

append(run.folder / "history.csv", {"stage": "rgb", "epoch": 1, "loss": 2.3})
draw(run.folder / "history.csv", run.folder / "history.png")
"""

import csv
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stfn_keras.figures import save_figure
from stfn_keras.files import written_aside

TRAINING, VALIDATION, RATE = "#3b6ea5", "#c8553d", "#5f6b76"
HEAD_STYLES = {"rgb_logits_loss": ":", "flow_logits_loss": "--"}


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row; a repeated (stage, epoch) replaces the old one.

    A column that earlier rows lack is empty there.

    Args:
        path: The CSV file, there or not.
        row: `stage`, `epoch` (from 1) and whatever was measured.
    """
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    this = (row["stage"], str(row["epoch"]))
    rows = [r for r in rows if (r["stage"], r["epoch"]) != this]
    rows.append(row)
    columns = list(dict.fromkeys(key for r in rows for key in r))
    with (
        written_aside(path) as aside,
        aside.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> pd.DataFrame:
    """The history in the order of stages and epochs; empty where there is none."""
    if not path.exists():
        return pd.DataFrame({"stage": [], "epoch": []})
    table = pd.read_csv(path)
    order = {name: place for place, name in enumerate(table["stage"].unique())}
    keys = table.assign(place=table["stage"].map(order))
    return table.loc[keys.sort_values(["place", "epoch"]).index].reset_index(drop=True)


def draw(history: Path, picture: Path) -> None:
    """Draw the curves of every stage in the history, a row of three panels each.

    Left the loss (the heads' own too, thin), in the middle top-1 with the epoch whose
    weights are the stage's result, right the learning rate. A history without rows
    draws nothing.
    """
    table = read(history)
    stages = list(table["stage"].unique())
    if not stages:
        return
    figure, grid = plt.subplots(
        len(stages), 3, squeeze=False, figsize=(12.5, 0.7 + 2.7 * len(stages)),
        layout="constrained",
    )  # fmt: skip
    for panels, name in zip(grid, stages, strict=True):
        rows = table[table["stage"] == name].dropna(axis="columns", how="all")
        _draw_loss(panels[0], rows)
        _draw_top1(panels[1], rows)
        _draw_rate(panels[2], rows)
        panels[0].set_title(f"{name}: {_described(rows)}", loc="left", weight="bold")
        for axes in panels:
            axes.xaxis.set_major_locator(
                MaxNLocator(8, integer=True, steps=[1, 2, 5, 10])
            )
            axes.set_xlabel("epoch")
            if len(rows) == 1:
                axes.set_xlim(rows["epoch"].iloc[0] - 1, rows["epoch"].iloc[0] + 1)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, picture)


def _described(rows: pd.DataFrame) -> str:
    epochs = f"{len(rows)} epoch{'s' if len(rows) != 1 else ''}"
    if "seconds" not in rows:
        return epochs
    seconds = rows["seconds"].sum()
    if seconds < 90:
        return f"{epochs}, {seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{epochs}, {minutes} min"
    return f"{epochs}, {minutes // 60} h {minutes % 60:02d} min"


def _curve(axes: plt.Axes, rows: pd.DataFrame, column: str, **style: Any) -> None:
    if column in rows:
        style = {"lw": 1.6, "marker": "o" if len(rows) == 1 else None, **style}
        axes.plot(rows["epoch"], rows[column], **style)


def _draw_loss(axes: plt.Axes, rows: pd.DataFrame) -> None:
    _curve(axes, rows, "loss", color=TRAINING, label="training")
    _curve(axes, rows, "val_loss", color=VALIDATION, label="validation")
    for column, line in HEAD_STYLES.items():
        label = column.replace("_logits_loss", " head")
        _curve(axes, rows, column, color=TRAINING, ls=line, lw=1, label=label)
        _curve(axes, rows, f"val_{column}", color=VALIDATION, ls=line, lw=1)
    axes.set_ylabel("loss")
    _legend(axes)


def _draw_top1(axes: plt.Axes, rows: pd.DataFrame) -> None:
    _curve(axes, rows, "top1", color=TRAINING, label="training")
    _curve(axes, rows, "val_top1", color=VALIDATION, label="validation")
    if "val_top1" in rows:
        best = rows.loc[rows["val_top1"].idxmax()]
        shown = f"best: {100 * best['val_top1']:.1f} %, epoch {best['epoch']:.0f}"
        axes.plot(best["epoch"], best["val_top1"], "o", color=VALIDATION, label=shown)
    elif "top1" in rows:
        last = rows.iloc[-1]
        shown = f"last: {100 * last['top1']:.1f} %"
        axes.plot(last["epoch"], last["top1"], "o", color=TRAINING, label=shown)
    axes.set_ylabel("top-1")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.03), min(high, 1.03))
    above = {"loc": "lower left", "bbox_to_anchor": (-0.02, 0.98), "ncols": 3}
    _legend(axes, handlelength=1.2, columnspacing=1.2, **above)


def short_rate(rate: float, figures: int = 3) -> str:
    """A learning rate as one writes it, to so many figures: 0.003 is 3e-3."""
    if rate <= 0.0:
        return f"{rate:g}"
    digits, power = f"{rate:.{figures - 1}e}".split("e")
    return f"{float(digits):g}e{int(power)}" if int(power) else f"{float(digits):g}"


def _draw_rate(axes: plt.Axes, rows: pd.DataFrame) -> None:
    _curve(axes, rows, "rate", color=RATE)
    if "rate" in rows and rows["rate"].max() > 20 * rows["rate"].min() > 0:
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda rate, _: short_rate(rate))
    axes.set_ylabel("learning rate")


def _legend(axes: plt.Axes, **place: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, edgecolor="none", framealpha=0.7, **place)
