"""Train and evaluate on several splits, with several seeds: runs below one folder.

    summary = train_splits(one, data, OUT, model, training, RepeatConfig((1, 2), 3))
    print(as_markdown(summary))

`OUT/split1-seed0/` trains the towers of split 1; the other seeds of the split take
them. Everything is a run of its own, so the same call continues what was stopped.
`RepeatConfig.views` is that of a fusion network; a network of independent snippets
sees as many of them (`stfn_keras.experiments.views`), as the rows of an ablation do.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.config.experiment import RepeatConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import evaluate
from stfn_keras.experiments.table import METRICS, over_seeds, per_cent
from stfn_keras.experiments.views import check_views, views_of
from stfn_keras.files import read_json, write_text
from stfn_keras.training.finished import weights_digest
from stfn_keras.training.run import Run

# Trains one run: its folder, its settings, the run whose towers it takes.
TrainOne = Callable[[Path, TrainingConfig, Path | None], Run]


def train_splits(
    train_one: TrainOne,
    data: Path,
    out: Path,
    model: ModelConfig,
    training: TrainingConfig,
    repeated: RepeatConfig,
    towers: Mapping[int, Path] | None = None,
) -> pd.DataFrame:
    """Train what is left of every split and seed, evaluate it, and sum up.

    Args:
        train_one: Trains one run on the data, or goes on with it.
        data: A dataset directory.
        out: The runs are `out/split<N>-seed<N>`.
        model: The network.
        training: Its training; its split is replaced, seeds count from its own.
        repeated: Splits, seeds and views.
        towers: By split, a run whose finished towers are taken.

    Returns:
        A line per split and one of the mean over splits, as `summary.csv`: means and
        standard deviations over seeds. `out/runs.csv` has a line per run. Both are
        written after each run. Empty if the stages asked for make no whole network
        yet.

    Raises:
        UserError: `out` is a run itself, the data lack a split, its test videos or
            the views, or as of `train`.
    """
    if (out / "config.json").exists():
        raise UserError(
            f"--out must be a folder for the runs of --splits. Received a run: {out}"
        )
    manifest = Manifest.load(data)
    for split in repeated.splits:  # now, not after hours with the splits before
        if split > manifest.splits or not manifest.count(split, "e"):
            raise UserError(
                f"--splits must be of the data's 1 to {manifest.splits}, with test "
                f"videos. Received: {split}"
            )
    check_views(model, repeated.views, manifest)
    lines = []
    summary = pd.DataFrame()
    for split in repeated.splits:
        first = (towers or {}).get(split)
        for seed in _seeds(model, training, repeated):
            keras.utils.clear_session()  # forget the networks of the run before
            folder = out / f"split{split}-seed{seed}"
            settings = dataclasses.replace(training, split=split, seed=seed)
            run = train_one(folder, settings, first)
            first = first or folder
            if run.network_file.exists():
                metrics = _evaluated(run, repeated.views, data)
                wanted = {name: metrics[name] for name in ("videos", *METRICS)}
                lines.append({"split": split, "seed": seed, **wanted})
                runs = pd.DataFrame(lines)
                write_text(out / "runs.csv", runs.to_csv(index=False))
                summary = summed_up(runs)
                write_text(out / "summary.csv", summary.to_csv(index=False))
    return summary


def summed_up(runs: pd.DataFrame) -> pd.DataFrame:
    """A line per split, and with several the mean over splits.

    The mean's deviation is that over seeds of each seed's mean over the splits; a seed
    that a split still lacks is left out of it.
    """
    parts: list[tuple[Any, pd.DataFrame]] = list(runs.groupby("split"))
    if len(parts) > 1:
        have = runs.groupby("seed")["split"].transform("nunique")
        parts.append(("mean", runs[have == len(parts)]))
    return pd.DataFrame([{"split": name, **over_seeds(part)} for name, part in parts])


def as_markdown(summary: pd.DataFrame) -> str:
    """The summary as Markdown: per cent, mean and spread over seeds."""
    lines = ["| split | test videos | top-1, % | mean class, % |", "|---|---|---|---|"]
    for line in summary.to_dict("records"):
        cells = [str(line["split"]), str(line["videos"])]
        cells += [per_cent(line, name) for name in METRICS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seeds(
    model: ModelConfig, training: TrainingConfig, repeated: RepeatConfig
) -> range:
    """The seeds; one alone where it would decide nothing after the towers."""
    decided = "end_to_end" in training.stages or (
        "fusion" in training.stages and not model.is_consensus
    )
    return range(training.seed, training.seed + (repeated.seeds if decided else 1))


def _evaluated(run: Run, views: str, data: Path) -> dict[str, Any]:
    """The metrics of the run's report, made unless it is that of this network."""
    views = "x".join(map(str, views_of(run.model, views)))
    path = run.folder / "report" / "metrics.json"
    if path.exists():
        metrics = read_json(path, "a report's metrics")
        wanted = {"views": views, "weights_digest": weights_digest(run)}
        if all(metrics.get(key) == value for key, value in wanted.items()):
            return metrics
    return evaluate(run, views, data=data)
