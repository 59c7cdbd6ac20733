"""The table of an experiment: means over splits, spread over seeds, what is noise.

table = make_table(grid, results)
print(as_markdown(table))
write_table(table, folder)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stfn_keras.experiments import mcnemar
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.plot import draw_table
from stfn_keras.experiments.result import Result
from stfn_keras.files import write_text

LEVEL = 0.05  # of significance
METRICS = ("video_top1", "mean_class_accuracy")
ROW = ["group", "row", "splits", "seeds", "videos", "video_top1", "video_top1_std",
       "mean_class_accuracy", "mean_class_accuracy_std", "p", "p_holm",
       "verdict"]  # fmt: skip
Results = Mapping[tuple[int, int], Result]  # by split and seed


@dataclass(frozen=True)
class Table:
    """An experiment's figures, accuracies in 0..1.

    Attributes:
        rows: A line per row; means and standard deviations over seeds of the mean
            over the splits, and the comparison with the reference.
        results: A line per row, split and seed.
        reference: The row that the others are compared with, empty if there is none.
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
    by_name = {row.name: row for row in rows}
    reference = by_name.get(grid.reference)
    lines: list[dict[str, Any]] = []
    for row in rows:
        own = results[results["row"] == row.name]
        p = math.nan
        if reference and row is not reference:
            p = compare(row, found[row.name], found[reference.name])
        named = {"group": row.group, "row": row.name}
        lines.append({**named, **over_seeds(own), "p": p})
    adjusted = mcnemar.holm([line["p"] for line in lines])
    for row, line, holm in zip(rows, lines, adjusted, strict=True):
        line["p_holm"], line["verdict"] = holm, ""
        if reference and row is not reference:
            gain = _gain(row, found[row.name], found[reference.name])
            line["verdict"] = verdict(line["p"], holm, gain)
    table = pd.DataFrame(lines, columns=ROW)
    return Table(table, results, reference.name if reference else "")


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


def compare(row: Row, ours: Results, theirs: Results) -> float:
    """p-value of McNemar's test, all splits' test videos pooled, over the seeds.

    Each seed is compared with the same seed of the reference, or with its first where
    the reference has no such seed. Shuffled, the first order counts.
    """
    first = next(seed for _, seed in theirs)
    values = []
    for seed in dict.fromkeys(seed for _, seed in ours):
        pooled: list[tuple[np.ndarray, np.ndarray]] = []
        for split in (s for s, of in ours if of == seed):
            mine = ours[split, seed]
            other = theirs.get((split, seed)) or theirs[split, first]
            pooled.append(_paired(row, mine, other))
        right, reference = (np.concatenate(part) for part in zip(*pooled, strict=True))
        values.append(mcnemar.exact(*mcnemar.discordant(right, reference)))
    return mcnemar.over_seeds(values)


def verdict(p: float, adjusted: float, gain: float) -> str:
    """What a comparison says, in words."""
    if p >= LEVEL:
        return "noise"
    way = "better" if gain > 0 else "worse"
    return way if adjusted < LEVEL else f"{way}? (chance, of so many rows)"


def as_markdown(table: Table) -> str:
    """The table as Markdown: per cent, mean and spread over seeds."""
    compared = [f"p against {table.reference}", ""] if table.reference else []
    head = ["", "", "top-1, %", "mean class, %", *compared]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    group = None
    for line in table.rows.to_dict("records"):
        cells = [line["group"] if line["group"] != group else "", line["row"]]
        group = line["group"]
        for name in METRICS:
            spread = line[f"{name}_std"]
            shown = "" if math.isnan(spread) else f" +- {100 * spread:.1f}"
            cells.append(f"{100 * line[name]:.1f}{shown}")
        if compared:
            p = line["p"]
            cells += ["" if math.isnan(p) else f"{p:.2g}", line["verdict"]]
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
    if table.reference:
        for word, text in (
            ("noise", "No different from {0} at this many videos (p >= {1})"),
            ("better?", "Better than {0}, but by chance alone one of so many rows may"),
            ("worse?", "Worse than {0}, but by chance alone one of so many rows may"),
            ("better", "Better than {0}"),
            ("worse", "Worse than {0}"),
        ):
            names = [r["row"] for r in rows.to_dict("records")
                     if r["verdict"].split(" ")[0] == word]  # fmt: skip
            if names:
                what = text.format(table.reference, LEVEL)
                said.append(f"{what}: {', '.join(names)}.")
    return "\n".join(said)


def write_table(table: Table, folder: Path) -> None:
    """Write `table.csv`, `results.csv`, `table.md` and `table.png`."""
    write_text(folder / "results.csv", table.results.to_csv(index=False))
    write_text(folder / "table.csv", table.rows.to_csv(index=False))
    text = f"{as_markdown(table)}\n\n{in_words(table)}\n"
    write_text(folder / "table.md", text)
    draw_table(table.rows, table.reference, folder / "table.png")


def _kept(row: Row, result: Result) -> np.ndarray:
    """Which videos count for a row, bool (N,)."""
    labels = result.scores.classes[result.scores.label]
    if not row.classes:
        return np.ones(len(labels), bool)
    return np.isin(labels, row.classes)


def _accuracies(row: Row, result: Result) -> dict[str, float | int]:
    kept = _kept(row, result)
    right = result.right(row.shuffle)[:, kept].mean(axis=0)  # (videos,)
    by_class = pd.Series(right).groupby(result.scores.label[kept]).mean()
    return {
        "videos": int(kept.sum()),
        "video_top1": float(right.mean()),
        "mean_class_accuracy": float(by_class.mean()),
    }


def _paired(row: Row, ours: Result, theirs: Result) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of a row's videos is right, in the order of their ids."""
    kept = _kept(row, ours)
    order = np.argsort(ours.scores.video_id[kept], kind="stable")
    right = ours.right(row.shuffle)[0, kept][order]
    other_kept = _kept(row, theirs)
    other_order = np.argsort(theirs.scores.video_id[other_kept], kind="stable")
    return right, theirs.right()[0, other_kept][other_order]


def _gain(row: Row, ours: Results, theirs: Results) -> float:
    """Difference of accuracies on the row's videos."""
    mine = np.mean([_accuracies(row, r)["video_top1"] for r in ours.values()])
    plain = Row(row.name, classes=row.classes)
    other = [_accuracies(plain, r)["video_top1"] for r in theirs.values()]
    return float(mine - np.mean(other))
