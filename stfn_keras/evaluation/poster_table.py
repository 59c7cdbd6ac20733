"""The poster's rows on one run's towers: single streams, late fusion, 0-2 blocks.

    table = poster_table(Run.open(folder), seeds=3)
    print(as_markdown(table))

Every row takes the run's towers. `spatial`, `temporal` and `late_fusion` are the
towers' own classifiers; the other rows train a fusion network on the cached features
with the run's fusion settings, once per seed. Rows are runs of their own below
`RUN/table/`, so an interrupted table goes on where it stopped.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from stfn_keras.config import ModelConfig
from stfn_keras.evaluation.evaluate import evaluate, parse_views
from stfn_keras.files import read_json, write_text
from stfn_keras.training.run import Run
from stfn_keras.training.train import train

COLUMNS = {"video_top1": "top-1", "mean_class_accuracy": "mean class"}


def rows(model: ModelConfig) -> dict[str, ModelConfig]:
    """The poster's rows as variants of a network."""
    change = dataclasses.replace
    return {
        "spatial": change(model, network="spatial"),
        "temporal": change(model, network="temporal"),
        "late fusion": change(model, network="late_fusion"),
        "(1) feature fusion": change(model, network="feature_fusion"),
        "(2) 1 block": change(model, network="stfn", blocks=1),
        "(3) 2 blocks": change(model, network="stfn", blocks=2),
    }


def poster_table(
    run: Run, seeds: int, views: str = "1x1", data: Path | None = None
) -> pd.DataFrame:
    """Train and evaluate every row.

    Args:
        run: A run whose towers are finished.
        seeds: Fusion networks trained per row, with seeds 0, 1, ...
        views: `SxC` of the fusion networks; the other rows see as many snippets,
            S x T of them.
        data: Where the data lie now, if moved.

    Returns:
        One row per row and seed: `row`, `seed`, `videos` and the metrics (0..1).
        `RUN/table/table.csv` holds the same.
    """
    folder, _ = run.manifest(data)
    samplings, crops = parse_views(views)
    found = []
    for name, model in rows(run.model).items():
        for seed in range(1 if model.is_consensus else seeds):
            slug = name.split(") ")[-1].replace(" ", "_")
            out = run.folder / "table" / f"{slug}-seed{seed}"
            training = dataclasses.replace(
                run.training, stages=("fusion",) if not model.is_consensus else
                model.streams, seed=seed,
            )  # fmt: skip
            row = train(folder, out, model, training, run.towers_from or run.folder)
            snippets = samplings * (model.segments if model.is_consensus else 1)
            seen = f"{snippets}x{crops}"
            report = row.folder / f"report-{seen}"
            if (report / "metrics.json").exists():
                metrics = read_json(report / "metrics.json", "metrics")
            else:
                metrics = evaluate(row, seen, data=folder, report=report)
            wanted = {key: metrics[key] for key in ("videos", *COLUMNS)}
            found.append({"row": name, "seed": seed, **wanted})
    table = pd.DataFrame(found)
    write_text(run.folder / "table" / "table.csv", table.to_csv(index=False))
    return table


def as_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown: per cent, mean and spread over seeds."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---|---|---|"]
    for name, group in table.groupby("row", sort=False):
        cells = []
        for column in COLUMNS:
            values = 100 * group[column]
            spread = f" +- {values.std():.1f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.1f}{spread}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
