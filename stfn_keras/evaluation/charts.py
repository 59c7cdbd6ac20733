"""Charts as SVG, drawn for the report's page: its colours, light and dark.

html = confusion_chart(counts, classes) + reliability_chart(bins)
"""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd

NAMED_CLASSES = 30  # of more, the names would not be readable
LETTERS = 22  # of a class's name; the whole name shows when pointed at


def confusion_chart(counts: np.ndarray, classes: Sequence[str] | np.ndarray) -> str:
    """The confusion matrix; names and counts are written for up to 30 classes.

    Args:
        counts: int (C, C), by true and predicted class.
        classes: The C names.
    """
    size, named = len(classes), len(classes) <= NAMED_CLASSES
    side = 30 if named else max(3, 700 // size)
    names = [_short(name) for name in classes]
    margin = 12 + 7 * max(map(len, names)) if named else 22
    whole = margin + size * side
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [
        f'<rect x="{margin}" y="0" width="{size * side}" height="{size * side}" '
        'fill="var(--panel)"/>'
    ]
    for row, column in zip(*np.nonzero(counts), strict=True):
        x, y = margin + column * side, row * side
        tip = f"{classes[row]} as {classes[column]}: {counts[row, column]}"
        colour = "var(--accent)" if row == column else "var(--bad)"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{colour}" '
            f'fill-opacity="{0.1 + 0.9 * share[row, column]:.2f}">'
            f"<title>{html.escape(tip)}</title></rect>"
        )
        if named:
            ink = "paper" if share[row, column] > 0.5 else "ink"
            parts.append(
                f'<text x="{x + side / 2:g}" y="{y + side / 2 + 4:g}" '
                f'text-anchor="middle" fill="var(--{ink})" pointer-events="none">'
                f"{counts[row, column]}</text>"
            )
    for place, name in enumerate(names if named else ()):
        middle = place * side + side / 2
        parts.append(
            f'<text x="{margin - 6}" y="{middle + 4:g}" text-anchor="end">'
            f"{html.escape(name)}</text>"
            f'<text transform="translate({margin + middle + 4:g} {size * side + 8}) '
            f'rotate(-60)" text-anchor="end">{html.escape(name)}</text>'
        )
    if not named:
        parts.append(
            f'<text x="{margin}" y="{whole - margin + 16}">predicted class</text>'
            f'<text transform="translate(14 {size * side}) rotate(-90)">true class'
            "</text>"
        )
    return _svg(whole + 10, whole, "confusion matrix", parts)


def reliability_chart(bins: pd.DataFrame) -> str:
    """Accuracy against confidence by bin, and how many videos each bin has.

    Args:
        bins: By `calibration.reliability`.
    """
    side, left, top, low = 300, 44, 10, 60  # low: the height of the counts
    most = max(int(bins["videos"].max()), 1)
    base = top + side
    ground = base + 14 + low
    parts = [
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" '
        'fill="var(--panel)"/>'
    ]
    for line in bins[bins["videos"] > 0].itertuples():
        x, width = left + side * line.low, side * (line.high - line.low) - 1
        high, count = side * line.accuracy, low * line.videos / most
        tip = (
            f"scores {line.low:.2f} to {line.high:.2f}: {line.videos} videos, "
            f"{100 * line.confidence:.0f} % sure, {100 * line.accuracy:.0f} % right"
        )
        dot = left + side * line.confidence
        parts.append(
            f"<g><title>{html.escape(tip)}</title>"
            f'<rect x="{x:.1f}" y="{base - high:.1f}" width="{width:.1f}" '
            f'height="{high:.1f}" fill="var(--accent)" fill-opacity=".75"/>'
            f'<rect x="{x:.1f}" y="{ground - count:.1f}" width="{width:.1f}" '
            f'height="{count:.1f}" fill="var(--soft)"/>'
            f'<circle cx="{dot:.1f}" cy="{base - high:.1f}" r="3" fill="var(--ink)"/>'
            "</g>"
        )
    parts.append(
        f'<line x1="{left}" y1="{base}" x2="{left + side}" y2="{top}" '
        'stroke="var(--soft)" stroke-dasharray="4 4"/>'
    )
    for share in (0, 0.5, 1):
        place = left + side * share
        parts.append(
            f'<text x="{left - 6}" y="{base - side * share + 4:g}" '
            f'text-anchor="end">{100 * share:g} %</text>'
            f'<text x="{place:g}" y="{ground + 16}" text-anchor="middle">{share:g}'
            "</text>"
        )
    parts.append(
        f'<text x="{left - 6}" y="{ground - low + 10}" text-anchor="end">{most}</text>'
        f'<text x="{left + side / 2:g}" y="{ground + 34}" text-anchor="middle">'
        "score of the predicted class</text>"
    )
    return _svg(left + side + 20, ground + 42, "reliability", parts)


def _svg(width: int, height: int, what: str, parts: Sequence[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<div class="wide"><svg role="img" aria-label="{what}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">{inner}</svg></div>'
    )


def _short(name: str) -> str:
    name = str(name)
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
