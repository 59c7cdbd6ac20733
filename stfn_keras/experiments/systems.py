"""Systems side by side: accuracy, cost, and accuracy when fused with other scores.

    table = compare_systems({"STFN": "runs/stfn", "iDT": "runs/idt"}, "runs/mifs")
    print(as_markdown(table))
    write_systems(table, folder)

A system is a run, or scores alone (a score file or its report), which have no cost.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from stfn_keras.errors import UserError
from stfn_keras.evaluation.bootstrap import intervals
from stfn_keras.evaluation.entries import Entry, align, of_split
from stfn_keras.evaluation.fused import fuse_splits
from stfn_keras.experiments.cost import check_backend, cost_of, milliseconds
from stfn_keras.figures import save_figure
from stfn_keras.files import read_json, write_text
from stfn_keras.training.run import MARK, Run

COLUMNS = {
    "video_top1": "top-1, %",
    "mean_class_accuracy": "mean class, %",
    "fused_top1": "with {}, top-1 %",
    "parameters": "parameters, M",
    "gflops": "GFLOPs",
    "minutes": "training, min",
    "milliseconds": "ms",
}
SCALES = {"video_top1": 100, "mean_class_accuracy": 100, "fused_top1": 100,
          "parameters": 1e-6}  # fmt: skip


def compare_systems(
    systems: Mapping[str, str], fused_with: str = "", on: str = "l2", timed: bool = True
) -> pd.DataFrame:
    """Collect the figures of several systems that scored the same videos.

    Args:
        systems: By the name that the table gives it, a finished and evaluated run of
            one split, a folder of train.py --splits that holds one, or a score file.
        fused_with: Scores that each is fused with, weights 1 and 1; empty for none.
        on: What of the scores is added; see `evaluation.fusion`.
        timed: Whether to time the networks.

    Returns:
        A row per system: `video_top1` and its interval `low`, `high`,
        `mean_class_accuracy`, `fused_top1` (shares, 0 to 1), `parameters`, `gflops`,
        `minutes` and `milliseconds`; NaN where a system has no such figure.

    Raises:
        UserError: There are no such scores, they are of several splits or of other
            videos, a run is not finished, or Keras computes with another backend
            than TensorFlow.
    """
    entries = {name: _of_one_split(path) for name, path in systems.items()}
    other = _of_one_split(fused_with) if fused_with else None
    align(of_split(list(entries.values()), 0))  # raises where the videos differ
    folders = {name: _run_of(systems[name], entries[name]) for name in systems}
    runs = {name: Run.open(folder) for name, folder in folders.items() if folder}
    if runs:
        check_backend()
    times = milliseconds(runs) if timed else {}
    rows = []
    for name, entry in entries.items():
        scores = entry.splits[0]
        found = fuse_splits([entry], "logits", (1.0,)).flat()
        low, high = intervals(scores.label, scores.logits)["video_top1"]
        row = {"system": name, "low": low, "high": high}
        row |= {key: found[key] for key in ("video_top1", "mean_class_accuracy")}
        if other:
            both = fuse_splits([entry, other], on, (1.0, 1.0)).flat()
            row["fused_top1"] = both["video_top1"]
        if name in runs:
            row |= asdict(cost_of(runs[name]))
            row["milliseconds"] = times.get(name, np.nan)
        rows.append(row)
    columns = ["system", "low", "high", *COLUMNS]
    return pd.DataFrame(rows).reindex(columns=columns)


def _of_one_split(path: str) -> Entry:
    entry = Entry.read(path)
    if len(entry.splits) > 1:
        raise UserError(
            "expected the scores of one split. Received: those of "
            f"{len(entry.splits)} in {path}"
        )
    return entry


def _run_of(path: str, entry: Entry) -> Path | None:
    """The run that was named, itself or by its folder of train.py --splits."""
    given, run = Path(path), entry.paths[0].parent.parent
    named = (folder for folder in (given, run) if given in (folder, folder.parent))
    return next((folder for folder in named if _is_run(folder)), None)


def _is_run(folder: Path) -> bool:
    """Whether it is one of train.py's: score files' folders have settings too."""
    config = folder / "config.json"
    return config.is_file() and read_json(config, "settings").get("kind") == MARK


def as_markdown(table: pd.DataFrame, fused_with: str = "") -> str:
    """The table for people; columns without any figure are left out."""
    shown = [key for key in COLUMNS if table[key].notna().any()]
    head = ["", *(COLUMNS[key].format(fused_with) for key in shown)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in table.to_dict("records"):
        cells = [row["system"]]
        for key in shown:
            value = SCALES.get(key, 1) * row[key]
            digits = 0 if key == "milliseconds" else 1
            cells.append("" if np.isnan(value) else f"{value:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_systems(table: pd.DataFrame, folder: Path, fused_with: str = "") -> None:
    """Write `systems.csv`, `systems.md` and, of networks, `systems.png`."""
    write_text(folder / "systems.csv", table.to_csv(index=False))
    write_text(folder / "systems.md", as_markdown(table, fused_with) + "\n")
    if table["gflops"].notna().any():
        draw(table, folder / "systems.png")


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw top-1 and its 95 % interval against the operations of a video.

    Systems without a cost are lines across.
    """
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    networks, others = table[table["gflops"].notna()], table[table["gflops"].isna()]
    for row in networks.to_dict("records"):
        top1 = 100 * row["video_top1"]
        spread = [[top1 - 100 * row["low"]], [100 * row["high"] - top1]]
        axes.errorbar(
            row["gflops"], top1, yerr=spread, fmt="o", capsize=2, elinewidth=0.8,
            label=row["system"],
        )  # fmt: skip
    for row in others.to_dict("records"):
        top1 = 100 * row["video_top1"]
        axes.axhline(top1, color="0.6", linewidth=1, linestyle="--")
        axes.annotate(
            row["system"], (0.01, top1), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", fontsize=8, color="0.4",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    axes.set_xlabel("GFLOPs of a video, one view")
    axes.set_ylabel("top-1, %, with its 95 % interval")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    save_figure(figure, path)
