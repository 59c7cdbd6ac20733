"""Figures drawn without a screen and written whole or not at all."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a $ in a file's name is a $

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from stfn_keras.files import written_aside  # noqa: E402

DPI = 110
NAMED_CLASSES = 30  # more than these would not be readable beside a matrix


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write a figure as its suffix says, and close it."""
    with written_aside(path) as aside, _any_letters():
        figure.savefig(aside, dpi=DPI)
    plt.close(figure)


def as_pixels(figure: plt.Figure, dpi: int = DPI) -> np.ndarray:
    """Draw a figure to uint8 RGB (height, width, 3), and close it."""
    figure.set_dpi(dpi)
    with _any_letters():
        figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return pixels


@contextlib.contextmanager
def _any_letters() -> Iterator[None]:
    """Draw a box, without a warning, for each letter that the font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def confusion_figure(
    counts: np.ndarray, classes: Sequence[str] | np.ndarray
) -> plt.Figure:
    """The confusion matrix; names and counts are written for up to 30 classes.

    Args:
        counts: int (C, C), by true and predicted class.
        classes: The C names.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4.0 + 0.35 * len(classes), 16.0)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("Share of each true class's videos")
    if len(classes) <= NAMED_CLASSES:
        axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center",
                      color=colour, fontsize=9)  # fmt: skip
    figure.colorbar(picture, ax=axes, shrink=0.8)
    return figure
