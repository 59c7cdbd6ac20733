"""The report directory: tables, scores, pictures and one page to look at.

found = write_report(folder, scores, settings, strips)
add_heat_maps(folder)  # after pictures were put into folder/heat
add_formats(folder, {"onnx": {"MB": "62.57", "published": "yes"}})

Heat maps, and the formats in `formats.json`, are shown again by a later evaluation of
the same weights.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stfn_keras.errors import UserError
from stfn_keras.evaluation import metrics, sections
from stfn_keras.evaluation.bootstrap import intervals
from stfn_keras.evaluation.calibration import reliability
from stfn_keras.evaluation.page import page, with_section
from stfn_keras.evaluation.plots import classes_figure, reliability_figure
from stfn_keras.evaluation.scores import Scores
from stfn_keras.figures import confusion_figure, save_figure
from stfn_keras.files import read_json, write_json, write_text

# Gives the strips of frames of some videos, JPEG by id; those it cannot are left out.
Strips = Callable[[Sequence[str]], Mapping[str, bytes]]


def write_report(
    folder: Path,
    scores: Scores,
    settings: dict[str, str],
    strips: Strips | None = None,
) -> dict[str, Any]:
    """Write the report of one evaluation.

    Args:
        folder: The report directory; files of an earlier report are replaced, heat
            maps and exported formats of other weights removed.
        scores: Every test video's scores.
        settings: What the page and `metrics.json` say of how they came about.
        strips: Where frames of the most confused videos come from.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: The folder holds something else than a report.
    """
    check_report_folder(folder)
    _forget_others(folder, settings)
    found = {**figures_of(scores), **settings}
    scores.save(folder / "scores.npz")
    table, rows = metrics.per_class(scores), metrics.predictions(scores)
    counts = metrics.confusion(scores.label, scores.logits)
    write_text(folder / "per_class.csv", table.to_csv(index=False))
    write_text(folder / "predictions.csv", rows.to_csv(index=False))
    frame = pd.DataFrame(counts, index=scores.classes, columns=scores.classes)
    write_text(folder / "confusion_matrix.csv", frame.to_csv(index_label="true"))
    bins = reliability(scores.label, scores.probabilities)
    write_text(folder / "reliability.csv", bins.to_csv(index=False))
    matrix = confusion_figure(counts, scores.classes)
    save_figure(matrix, folder / "confusion_matrix.png")
    save_figure(classes_figure(table), folder / "per_class.png")
    save_figure(reliability_figure(bins), folder / "reliability.png")
    parts = [
        sections.summary(found),
        sections.settings(settings),
        sections.streams(scores),
        sections.confused(scores, rows, strips),
        sections.matrix(counts, scores.classes),
        sections.classes(table),
        sections.calibration(bins),
        sections.heat_maps(folder),
        sections.formats(folder),
        sections.wrong(rows),
    ]
    title = f"Evaluation of {settings.get('network', 'a network')}"
    write_text(folder / "index.html", page(title, parts))
    write_json(folder / "metrics.json", found)
    return found


def figures_of(scores: Scores) -> dict[str, float | int]:
    """The summary, each accuracy followed by the ends of its 95 % interval."""
    found: dict[str, float | int] = {}
    ends = intervals(scores.label, scores.logits)
    for name, value in metrics.summary(scores).items():
        found[name] = value
        if name in ends:
            found[f"{name}_low"], found[f"{name}_high"] = ends[name]
    return found


def check_report_folder(folder: Path) -> None:
    """Refuse a folder that is neither new nor a report.

    Raises:
        UserError: It holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    state = folder / "metrics.json"
    if not state.is_file() or "video_top1" not in read_json(state, "a report"):
        raise UserError(
            f"the report's folder must be new or a report of ours: {folder} holds "
            "something else; nothing was changed"
        )


def add_heat_maps(folder: Path) -> None:
    """Show the pictures of `folder/heat`, PNG and GIF, in the report's page.

    Those of one name, but for the suffix, are shown together. The name is their
    caption where no JSON file of that name has `caption` (and `score`, 0..1, by which
    they are ordered).

    Raises:
        UserError: The folder holds no report of this version.
    """
    _replace(folder, sections.heat_maps(folder))


def add_formats(
    folder: Path, rows: Mapping[str, Mapping[str, str]], about: str = ""
) -> None:
    """Show the table of exported formats in the report's page, and keep it.

    Args:
        folder: The report of the weights that were exported.
        rows: By format, the cells by the heads of their columns.
        about: What the figures are, shown above the table.

    Raises:
        UserError: The folder holds no report of this version.
    """
    check_report_folder(folder)
    said = read_json(folder / "metrics.json", "a report")
    write_json(
        folder / sections.FORMATS,
        {
            "weights_digest": said.get("weights_digest"),
            "about": about,
            "formats": rows,
        },
    )
    _replace(folder, sections.formats(folder))


def _replace(folder: Path, section: sections.Section) -> None:
    path = folder / "index.html"
    check_report_folder(folder)
    try:
        text = with_section(path.read_text(encoding="utf-8"), section)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            f"expected the page of a report: {path} is missing, or of an older "
            "version; make it again with evaluate.py"
        ) from error
    write_text(path, text)


def _forget_others(folder: Path, settings: dict[str, str]) -> None:
    """Remove what is of other weights, and would be shown as of these."""
    digest = settings.get("weights_digest")
    state, formats = folder / "metrics.json", folder / sections.FORMATS
    if state.is_file() and read_json(state, "a report").get("weights_digest") != digest:
        for file in sections.heat_files(folder):
            file.unlink()
    if formats.is_file():
        shown = read_json(formats, "the report's table of formats")
        if shown.get("weights_digest") != digest:
            formats.unlink()
