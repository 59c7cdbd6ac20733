"""The report directory: tables, scores, pictures and one page to look at."""

import html
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from stfn_keras.errors import UserError
from stfn_keras.evaluation import metrics
from stfn_keras.evaluation.scoring import Scores
from stfn_keras.figures import confusion_figure, save_figure
from stfn_keras.files import read_json, write_json, write_text

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:left;
border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}
img{max-width:100%}
"""


def write_report(
    folder: Path, scores: Scores, settings: dict[str, str]
) -> dict[str, float | int | str]:
    """Write the report of one evaluation.

    Args:
        folder: The report directory; files of an earlier report are replaced.
        scores: Every test video's scores.
        settings: What the page and `metrics.json` say of how they came about.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: The folder holds something else than a report.
    """
    check_report_folder(folder)
    found = {**metrics.summary(scores), **settings}
    scores.save(folder / "scores.npz")
    table, rows = metrics.per_class(scores), metrics.predictions(scores)
    counts = metrics.confusion(scores.label, scores.logits)
    write_text(folder / "per_class.csv", table.to_csv(index=False))
    write_text(folder / "predictions.csv", rows.to_csv(index=False))
    frame = pd.DataFrame(counts, index=scores.classes, columns=scores.classes)
    write_text(folder / "confusion_matrix.csv", frame.to_csv(index_label="true"))
    matrix = confusion_figure(counts, scores.classes)
    save_figure(matrix, folder / "confusion_matrix.png")
    _draw_classes(table, folder / "per_class.png")
    write_text(folder / "index.html", _page(found, table, rows))
    write_json(folder / "metrics.json", found)
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


def _draw_classes(table: pd.DataFrame, path: Path) -> None:
    table = table[table["videos"] > 0].sort_values("accuracy")
    figure, axes = plt.subplots(
        figsize=(7, min(1.5 + 0.3 * len(table), 24)), layout="constrained"
    )
    axes.barh(table["class"], 100 * table["accuracy"], color="#3b6ea5")
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy, % of the class's videos")
    save_figure(figure, path)


def _page(found: dict, table: pd.DataFrame, rows: pd.DataFrame) -> str:
    wrong = rows[~rows["right"]].sort_values("score", ascending=False)
    parts = [
        "<h1>Evaluation</h1>",
        _html_table(["", ""], [[k, _shown(v)] for k, v in found.items()]),
        "<h2>Confusion matrix</h2>",
        '<img src="confusion_matrix.png" alt="confusion matrix">',
        "<h2>Accuracy by class</h2>",
        '<img src="per_class.png" alt="accuracy by class">',
        _html_table(list(table.columns), table.map(_shown).values.tolist()),
        f"<h2>Wrong videos, surest first ({len(wrong)} of {len(rows)})</h2>",
        _html_table(
            ["video", "true class", "predicted", "score"],
            wrong[["video_id", "label", "predicted", "score"]]
            .map(_shown)
            .values.tolist(),
        ),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Evaluation</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _html_table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = [
        "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows
    ]
    inner = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table><tr>{top}</tr>\n{inner}</table>"
