"""The table of an experiment: means over splits, spread over seeds, what is noise.

table = make_table(grid, results)
print(as_markdown(table))
write_table(table, folder)
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stfn_keras.experiments.comparison import LEVEL, Results, compared, kept
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.plot import draw_table
from stfn_keras.experiments.result import Result
from stfn_keras.files import write_text

METRICS = ("video_top1", "mean_class_accuracy")
ROW = ["group", "row", "classes", "splits", "seeds", "videos", "video_top1",
       "video_top1_std", "mean_class_accuracy", "mean_class_accuracy_std", "against",
       "p", "p_holm", "verdict"]  # fmt: skip


@dataclass(frozen=True)
class Table:
    """An experiment's figures, accuracies in 0..1.

    Attributes:
        rows: A line per row; means and standard deviations over seeds of the mean
            over the splits, and the comparison with the row `against`, empty if there
            is none.
        results: A line per row, split and seed.
        reference: The row that others are compared with by default, or empty.
    """

    rows: pd.DataFrame
    results: pd.DataFrame
    reference: str


def make_table(grid: Grid, found: Mapping[str, Results]) -> Table:
    """Sum up the results.

    Args:
        grid: The rows.
        found: By row, results by split and seed; rows without are left out.
    """
    rows = [row for row in grid.rows if row.name in found]
    results = pd.DataFrame(
        [
            {"group": row.group, "row": row.name, "split": split, "seed": seed,
             **_accuracies(row, result), "seconds": result.seconds}
            for row in rows
            for (split, seed), result in found[row.name].items()
        ]
    )  # fmt: skip
    comparisons = compared(grid, found)
    lines: list[dict[str, Any]] = []
    for row in rows:
        own = results[results["row"] == row.name]
        classes = ", ".join(sorted(row.classes))
        named = {"group": row.group, "row": row.name, "classes": classes}
        compares = dataclasses.asdict(comparisons[row.name])
        lines.append({**named, **over_seeds(own), **compares})
    table = pd.DataFrame(lines, columns=ROW)
    return Table(table, results, grid.reference if grid.reference in found else "")


def over_seeds(results: pd.DataFrame) -> dict[str, float | int]:
    """Mean and standard deviation over seeds of the mean over splits.

    The deviation is NaN of a single seed. `videos` is the sum over the splits.
    """
    by_seed = results.groupby("seed")[list(METRICS)].mean()
    first = results[results["seed"] == results["seed"].iloc[0]]
    found: dict[str, float | int] = {
        "splits": first["split"].nunique(),
        "seeds": len(by_seed),
        "videos": int(first["videos"].sum()),
    }
    for name in METRICS:
        found[name] = by_seed[name].mean()
        found[f"{name}_std"] = by_seed[name].std()
    return found


def per_cent(line: Mapping[Any, Any], metric: str) -> str:
    """A metric's cell, `97.2 +- 0.3`: mean and spread, if there is one, of a line."""
    spread = line[f"{metric}_std"]
    shown = "" if math.isnan(spread) else f" +- {100 * spread:.1f}"
    return f"{100 * line[metric]:.1f}{shown}"


def as_markdown(table: Table) -> str:
    """The table as Markdown: per cent, mean and spread over seeds."""
    compares = bool(table.rows["against"].any())
    head = ["", "", "top-1, %", "mean class, %"]
    head += ["p", "against", ""] if compares else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    group = None
    for line in table.rows.to_dict("records"):
        cells = [line["group"] if line["group"] != group else "", line["row"]]
        group = line["group"]
        cells += [per_cent(line, name) for name in METRICS]
        if compares:
            p = "" if math.isnan(line["p"]) else f"{line['p']:.2g}"
            cells += [p, line["against"], line["verdict"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def in_words(table: Table) -> str:
    """What the figures are, and which differences are noise at this many videos."""
    rows = table.rows
    videos, splits = rows["videos"].max(), rows["splits"].max()
    said = [
        f"{videos} test videos of {splits} split{'s' if splits > 1 else ''}; mean +- "
        f"standard deviation over {rows['seeds'].max()} seed(s) of what follows the "
        "towers; the towers are the same."
    ]
    for against in dict.fromkeys(name for name in rows["against"] if name):
        part = rows[rows["against"] == against].to_dict("records")
        for word, text in (
            ("noise", "No different from {0} at this many videos (p >= {1})"),
            ("better?", "Better than {0}, but by chance alone one of so many rows may"),
            ("worse?", "Worse than {0}, but by chance alone one of so many rows may"),
            ("better", "Better than {0}"),
            ("worse", "Worse than {0}"),
        ):
            names = [r["row"] for r in part if r["verdict"].split(" ")[0] == word]
            if names:
                what = text.format(against, LEVEL)
                said.append(f"{what}: {', '.join(names)}.")
    return "\n".join(said)


def write_table(table: Table, folder: Path) -> None:
    """Write `table.csv`, `results.csv`, `table.md` and `table.png`."""
    write_text(folder / "results.csv", table.results.to_csv(index=False))
    write_text(folder / "table.csv", table.rows.to_csv(index=False))
    text = f"{as_markdown(table)}\n\n{in_words(table)}\n"
    write_text(folder / "table.md", text)
    draw_table(table.rows, table.reference, folder / "table.png")


def _accuracies(row: Row, result: Result) -> dict[str, float | int]:
    chosen = kept(row, result)
    right = result.right(row.shuffle)[:, chosen].mean(axis=0)  # (videos,)
    by_class = pd.Series(right).groupby(result.scores.label[chosen]).mean()
    return {
        "videos": int(chosen.sum()),
        "video_top1": float(right.mean()),
        "mean_class_accuracy": float(by_class.mean()),
    }
