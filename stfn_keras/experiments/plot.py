"""The table as a picture: a line per row, grouped, with error bars over seeds.

draw_table(table.rows, "late fusion", folder / "table.png")
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from stfn_keras.figures import save_figure

ROW_INCHES = 0.27
COLOURS = ("#3b6ea5", "#c8642d")


def draw_table(rows: pd.DataFrame, reference: str, path: Path) -> None:
    """Draw top-1 and mean class accuracy of every row.

    Args:
        rows: Of a `Table`.
        reference: The row whose top-1 is drawn as a line through all rows of the same
            classes; empty for none.
        path: The picture.
    """
    places, ticks, heads = [], [], []
    height = 0.0
    for (group,), part in rows.groupby(["group"], sort=False):
        heads.append((height, group))
        for name in part["row"]:
            height += 1.0
            places.append(height)
            ticks.append(name)
        height += 1.6
    figure, axes = plt.subplots(
        figsize=(8, 1.2 + ROW_INCHES * (height + 1)), layout="constrained"
    )
    ordered = pd.concat(part for _, part in rows.groupby("group", sort=False))
    for metric, label, colour, shift in (
        ("video_top1", "top-1", COLOURS[0], -0.12),
        ("mean_class_accuracy", "mean class", COLOURS[1], 0.12),
    ):
        axes.errorbar(
            100 * ordered[metric],
            [place + shift for place in places],
            xerr=100 * ordered[f"{metric}_std"].fillna(0.0),
            fmt="o", markersize=4, capsize=2, color=colour, label=label,
        )  # fmt: skip
    if reference:
        line = rows[rows["row"] == reference].iloc[0]
        alike = [p for p, classes in zip(places, ordered["classes"], strict=True)
                 if classes == line["classes"]]  # fmt: skip
        axes.vlines(
            [100 * line["video_top1"]] * len(alike),
            [place - 0.5 for place in alike], [place + 0.5 for place in alike],
            color="0.6", linewidth=1, zorder=1, label=f"{reference}, top-1",
        )  # fmt: skip
    axes.set_yticks(places, ticks)
    for place, group in heads:
        axes.annotate(
            group, (0, place), xycoords=("axes fraction", "data"), va="center",
            xytext=(4, 0), textcoords="offset points", fontweight="bold", fontsize=9,
        )  # fmt: skip
    axes.set_ylim(height - 0.6, -0.8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("% of the test videos; bars: standard deviation over seeds")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    save_figure(figure, path)
