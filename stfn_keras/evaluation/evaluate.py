"""Evaluate a run on the test videos of its split, or several runs on theirs.

found = evaluate(Run.open(folder), views="1x1")
mean = over_splits({1: found_of_split_1, 2: found_of_split_2})
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from stfn_keras.data.manifest import DEFAULT_VERIFY, Manifest, VerifyConfig
from stfn_keras.data.source import Source, naming_damage
from stfn_keras.errors import UserError
from stfn_keras.evaluation.entries import TEST, VALIDATION
from stfn_keras.evaluation.report import check_report_folder, write_report
from stfn_keras.evaluation.scoring import (
    Scores,
    score_videos,
    trained_network,
    view_config,
)
from stfn_keras.evaluation.strips import film_strips
from stfn_keras.training.finished import weights_digest
from stfn_keras.training.run import Run
from stfn_keras.training.stages import input_sizes
from stfn_keras.training.work import Work

FOLDERS = {"e": TEST, "v": VALIDATION}  # of the reports inside a run, by role


def parse_views(views: str) -> tuple[int, int]:
    """Read `SxC`, such as `25x10`: samplings and crops per video.

    Raises:
        UserError: It has another form.
    """
    parts = views.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise UserError(
            "--views must be SxC, samplings and crops per video, such as 1x1 or "
            f"25x10. Received: {views!r}"
        )
    return int(parts[0]), int(parts[1])


def default_views(run: Run) -> str:
    """The centre view: a fusion model's T segments, or as many single snippets."""
    return f"{run.model.segments}x1" if run.model.views_are_snippets else "1x1"


def score_run(
    run: Run,
    views: str,
    batch: int,
    data: Path | None = None,
    role: str = "e",
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> Scores:
    """Score the videos of one role of the run's split; see `score_videos`.

    Args:
        run: A finished run.
        views: `SxC`.
        batch: Views per forward pass.
        data: Where the data lie now, if not where the run found them.
        role: `e` for the test videos; `v` for the validation videos, which with
            `--folds` are those that the run held out of its training.
        verify: How the shards are checked first.

    Raises:
        UserError: As of `score_videos`; the run has no such videos, or its fusion was
            trained on its validation videos.
    """
    samplings, crops = parse_views(views)
    folder, manifest = run.manifest(data)
    _check_role(run, manifest, role)
    network = trained_network(run, view_config(run.model))
    source = source_of(run, folder, manifest, role, input_sizes(network))
    stored = "r" if role == "v" and run.training.folds else role
    manifest.verify(folder, verify.full, run.training.split, stored)
    with naming_damage(folder, manifest):
        return score_videos(
            network,
            source,
            run.labels,
            samplings=samplings,
            crops=crops,
            batch=batch,
            described=f"{run.model.network}, views {views}",
        )


def evaluate(
    run: Run,
    views: str = "",
    batch: int = 32,
    data: Path | None = None,
    report: Path | None = None,
    verify: VerifyConfig = DEFAULT_VERIFY,
    role: str = "e",
) -> dict[str, Any]:
    """Score the test videos and write the report.

    Args:
        run: A finished run.
        views: `SxC`; empty for the centre view.
        batch: Views per forward pass.
        data: Where the data lie now, if not where the run found them.
        report: The report directory; by default `report/` in the run, and
            `report-validation/` for validation videos.
        verify: How the shards are checked first.
        role: Whose videos; see `score_run`.

    Returns:
        The content of `metrics.json`.
    """
    views = views or default_views(run)
    report = report or run.folder / FOLDERS[role]
    check_report_folder(report)
    scores = score_run(run, views, batch, data, role, verify)
    settings = {
        "network": run.model.network,
        "tower": run.model.tower,
        "split": str(run.training.split),
        "scored": {"e": "test videos", "v": "validation videos"}[role],
        "views": views,
        "flow": run.flow,
        "data_digest": run.data_digest,
        "weights_digest": weights_digest(run),
    }
    folder, manifest = run.manifest(data)
    source = source_of(run, folder, manifest, role, {"rgb": 0})

    def strips(ids: Sequence[str]) -> Mapping[str, bytes]:
        try:
            return film_strips(source, folder, ids)
        except UserError as error:  # not worth hours of scoring
            logging.warning("the report shows no frames: %s", error)
            return {}

    return write_report(report, scores, settings, strips)


def over_splits(found: Mapping[int, Mapping[str, Any]]) -> dict[str, float | int]:
    """The means over several splits, and each split's own figures.

    Args:
        found: By split, the content of its `metrics.json`.

    Returns:
        `splits`, their number; each accuracy's mean; and `split<N>_` with every
        figure of split N. Flat.
    """
    first, *others = found.values()
    shares = [n for n, value in first.items() if isinstance(value, float)]
    shares = [n for n in shares if all(n in other for other in others)]
    means = {
        name: float(np.mean([metrics[name] for metrics in found.values()]))
        for name in shares
        if not name.endswith(("_low", "_high"))  # a mean's interval is another
    }
    each = {
        f"split{split}_{name}": metrics[name]
        for split, metrics in found.items()
        for name in ("videos", *shares)
    }
    return {"splits": len(found), **means, **each}


def check_splits_differ(runs: Mapping[str, Run]) -> None:
    """Refuse runs whose mean would not be one over splits.

    Args:
        runs: By the name that errors give them.

    Raises:
        UserError: Two are of one split, or they know other classes.
    """
    seen: dict[int, str] = {}
    (first, reference), *_ = runs.items()
    for name, run in runs.items():
        split = run.training.split
        if split in seen:
            raise UserError(
                "expected a run of each split, to average over. Received: "
                f"{seen[split]} and {name}, both of split {split}"
            )
        seen[split] = name
        if run.labels != reference.labels:
            raise UserError(
                f"expected runs with the same classes. Received: {first} and {name}, "
                "which have others"
            )


def source_of(
    run: Run, folder: Path, manifest: Manifest, role: str, sizes: dict[str, int]
) -> Source:
    """The videos of one role of the run's split, read at these sizes."""
    return Work(run, folder, manifest, run).source(role, sizes)


def _check_role(run: Run, manifest: Manifest, role: str) -> None:
    """Refuse validation videos that are none, or that the run was trained on."""
    training = run.training
    if role != "v":
        return
    if not training.folds and not manifest.count(training.split, "v"):
        raise UserError(
            f"the run {run.folder} has no validation videos: neither do its data hold "
            "any, nor was it trained with --folds, which holds some out"
        )
    if training.fusion_videos != "train":
        raise UserError(
            f"the run {run.folder} was trained with --fusion_videos="
            f"{training.fusion_videos}, on the videos it held out: their scores would "
            "be too good. Train it with --fusion_videos=train"
        )
