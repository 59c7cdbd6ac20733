"""Figures drawn without a screen and written whole or not at all."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # a $ in a file's name is a $

import matplotlib.pyplot as plt  # noqa: E402

from stfn_keras.files import written_aside  # noqa: E402

DPI = 110


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write a figure as its suffix says, and close it."""
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=DPI)
    plt.close(figure)
