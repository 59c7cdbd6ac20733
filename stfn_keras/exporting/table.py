"""The table of an export's formats, for the terminal and for the report's page.

print(text_table(parity))
show_in_report(Path("runs/x/report"), parity)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stfn_keras.evaluation.report import add_formats
from stfn_keras.files import read_json

Parity = Mapping[str, Mapping[str, Any]]

# Head, key in `parity.json`, factor, format.
_COLUMNS = (
    ("MB", "bytes", 1e-6, ".2f"),
    ("max diff", "max_abs_diff", 1, ".1e"),
    ("agreement %", "top1_agreement", 100, ".2f"),
    ("accuracy %", "accuracy", 100, ".2f"),
    ("ms", "latency_ms", 1, ".1f"),
    ("ms, batch 8", "latency_ms_batch_8", 1, ".1f"),
)


def rows(parity: Parity) -> dict[str, dict[str, str]]:
    """The table's cells by format and head; a dash for what was not measured."""
    known = [c for c in _COLUMNS if any(c[1] in row for row in parity.values())]
    return {
        name: {
            head: "–" if row.get(key) is None else format(row[key] * factor, form)
            for head, key, factor, form in known
        }
        for name, row in parity.items()
    }


def text_table(parity: Parity) -> str:
    """The table in columns, and below it why formats were refused."""
    cells = rows(parity)
    heads = list(next(iter(cells.values())))
    table = [
        ["format", *heads],
        *([name, *row.values()] for name, row in cells.items()),
    ]
    first, *others = (max(map(len, column)) for column in zip(*table, strict=True))
    lines = [
        "  ".join([f"{name:<{first}}", *map(str.rjust, row, others)])
        for name, *row in table
    ]
    lines += [f"refused: {name}: {why}" for name, why in refused(parity).items()]
    return "\n".join(lines)


def refused(parity: Parity) -> dict[str, str]:
    """The formats that were not published, and why."""
    return {name: row["reason"] for name, row in parity.items() if not row["passed"]}


def show_in_report(folder: Path, parity: Parity) -> None:
    """Put the table into a report's page.

    Args:
        folder: The report.
        parity: As in `parity.json`.

    Raises:
        UserError: The folder holds no report of this version.
    """
    reasons = refused(parity)
    cells = {
        name: {
            **row,
            "published": f"no: {reasons[name]}" if name in reasons else "yes",
        }
        for name, row in rows(parity).items()
    }
    videos = read_json(folder / "metrics.json", "a report").get("videos")
    add_formats(folder, cells, about(parity, videos))


def about(parity: Parity, test_videos: int | None = None) -> str:
    """What the table's figures are.

    Args:
        parity: As in `parity.json`.
        test_videos: How many the test split has; None where it is not known.
    """
    first = parity["saved_model"]
    if first.get("made_up"):
        videos = f"{first['videos']} made-up videos"
    else:
        of = f" of {test_videos}" if test_videos else ""
        videos = f"{first['videos']}{of} test videos"
    text = (
        f"Each format against the evaluation, on {videos}. Max diff: the largest "
        "difference of a softmax score; agreement: videos given the same class."
    )
    if first.get("latency_ms") is not None:
        batches = "1 and 8" if first.get("latency_ms_batch_8") is not None else "1"
        text += (
            f" Ms: the median from views to scores at batch {batches}, on the machine "
            "that exported."
        )
    return f"{text} –: not measured, such as the time of a format that was refused."
