"""The report's pictures as PNG files, for slides and papers.

save_figure(classes_figure(per_class(scores)), folder / "per_class.png")
"""

import matplotlib.pyplot as plt
import pandas as pd

from stfn_keras import figures  # noqa: F401  draws without a screen

BLUE = "#3b6ea5"


def classes_figure(table: pd.DataFrame) -> plt.Figure:
    """The recall of each class that occurs, worst first; `metrics.per_class`."""
    table = table[table["videos"] > 0].sort_values("recall", ascending=False)
    figure, axes = plt.subplots(
        figsize=(7, min(1.5 + 0.3 * len(table), 24)), layout="constrained"
    )
    axes.barh(table["class"], 100 * table["recall"], color=BLUE)
    axes.set_xlim(0, 100)
    axes.set_xlabel("recall, % of the class's videos")
    return figure


def reliability_figure(bins: pd.DataFrame) -> plt.Figure:
    """Accuracy against confidence; `calibration.reliability`."""
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    width = bins["high"] - bins["low"]
    axes.bar(bins["low"], bins["accuracy"].fillna(0), width, align="edge",
             color=BLUE, edgecolor="white")  # fmt: skip
    axes.plot([0, 1], [0, 1], "--", color="grey")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("score of the predicted class")
    axes.set_ylabel("share of videos that are right")
    return figure
