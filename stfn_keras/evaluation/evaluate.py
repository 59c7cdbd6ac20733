"""Evaluate a run on the test videos of its split.

found = evaluate(Run.open(folder), views="1x1")
"""

from pathlib import Path

from stfn_keras.data.manifest import DEFAULT_VERIFY, VerifyConfig
from stfn_keras.data.source import naming_damage, open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.report import check_report_folder, write_report
from stfn_keras.evaluation.scoring import (
    Scores,
    score_videos,
    trained_network,
    view_config,
)
from stfn_keras.training.finished import weights_digest
from stfn_keras.training.run import Run
from stfn_keras.training.stages import input_sizes


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
    """Score the videos of one role of the run's split; see `score_videos`."""
    samplings, crops = parse_views(views)
    folder, manifest = run.manifest(data)
    manifest.verify(folder, verify.full, run.training.split, role)
    network = trained_network(run, view_config(run.model))
    source = open_source(
        folder, manifest, run.training.split, role, run.flow, input_sizes(network)
    )
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
) -> dict:
    """Score the test videos and write the report.

    Args:
        run: A finished run.
        views: `SxC`; empty for the centre view.
        batch: Views per forward pass.
        data: Where the data lie now, if not where the run found them.
        report: The report directory; `report/` in the run by default.
        verify: How the test shards are checked first.

    Returns:
        The content of `metrics.json`.
    """
    views = views or default_views(run)
    check_report_folder(report or run.folder / "report")
    scores = score_run(run, views, batch, data, verify=verify)
    settings = {
        "network": run.model.network,
        "tower": run.model.tower,
        "split": str(run.training.split),
        "views": views,
        "flow": run.flow,
        "data_digest": run.data_digest,
        "weights_digest": weights_digest(run),
    }
    return write_report(report or run.folder / "report", scores, settings)
