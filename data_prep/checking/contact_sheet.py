"""Contact sheets: frames of prepared videos over their flow in colour.

    draw_dataset(folder, manifest, videos, Path("ucf101.png"))
    draw_video(video, Path("clip.png"))

Pictures are placed pixel by pixel; hue is the direction of motion, as the wheel in
the corner shows it, and saturation its speed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_prep.checking.facts import printable, role_words
from data_prep.checking.stored import StoredVideo
from stfn_keras.config import FLOW_BOUND
from stfn_keras.data.manifest import Manifest
from stfn_keras.figures import DPI, plt, save_figure
from stfn_keras.video import decode, flow

_MARGIN, _GAP, _SEAM = 28, 10, 3  # pixels: around all, between cells, frame to flow
_HEAD = 112  # pixels: title and wheel
_SIDE = 250  # pixels: captions beside the rows of a dataset
_LINE = 20  # pixels: a line of caption
_WHEEL = 64  # pixels: side of the wheel
_SPEEDS = (1, 2, 5, 10, 20)  # pixels per frame that may be painted in full colour
_INK, _FAINT = "#1a1a1a", "#666666"
_PAPER = 240  # grey of the page: flow without motion is white
_MOST_SNIPPETS = 50  # of one video


@dataclass(frozen=True)
class _Cell:
    """A snippet's frame and, below it, the middle pair of each flow field."""

    frame: np.ndarray  # uint8 RGB (height, width, 3)
    codes: list[np.ndarray]  # uint8 (height, width, 2) each

    @classmethod
    def of(cls, video: StoredVideo, snippet: int) -> "_Cell":
        pairs = [video.codes(field, snippet) for field in video.manifest.flow]
        return cls(video.frame(snippet), [codes[len(codes) // 2] for codes in pairs])

    def draw(self, width: int, full: float) -> np.ndarray:
        """Paint it, at most `width` pixels wide; `full` is the speed of full colour."""
        pictures = [self.frame, *(flow.colour(codes, full) for codes in self.codes)]
        sides = self.frame.shape[:2]
        scale = min(width / sides[1], 2 * width / sides[0])
        size = max(round(sides[0] * scale), 1), max(round(sides[1] * scale), 1)
        seam = np.full((_SEAM, size[1], 3), _PAPER, np.uint8)
        parts = [part for p in pictures for part in (decode.resize(p, size), seam)]
        return np.concatenate(parts[:-1])


class _Sheet:
    """A page on which pictures and words are put by pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        size = (width / DPI, height / DPI)
        self._figure = plt.figure(figsize=size, dpi=DPI, facecolor=str(_PAPER / 255))

    def picture(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Put uint8 RGB pixels, as they are."""
        self._figure.figimage(pixels, x, self.height - y - len(pixels), origin="upper")

    def words(
        self, x: int, y: int, text: str, size: float = 9, width: int = 0, **style: Any
    ) -> None:
        """Put a line of text below y; cut to fit `width` pixels, if given."""
        if width:
            text = _cut(text, int(width / (size * DPI / 72 * 0.56)))
        self._figure.text(
            x / self.width, 1 - y / self.height, text, fontsize=size,
            **{"va": "top", "color": _INK, **style},
        )  # fmt: skip

    def head(self, title: str, lines: Sequence[str], full: float) -> None:
        """Put the title, lines below it, and the wheel with what it means."""
        left = self.width - _MARGIN - _WHEEL
        room = left - 190 - 2 * _MARGIN
        self.words(_MARGIN, _MARGIN - 6, title, 15, room, weight="bold")
        for index, line in enumerate(lines):
            y = _MARGIN + 26 + index * _LINE
            self.words(_MARGIN, y, line, 9, room, color=_FAINT)
        top = _MARGIN - 6
        self.picture(left, top, _wheel(_WHEEL, full))
        notes = ("hue: direction of motion", "white: no motion",
                 f"full colour: {full:g} pixels", "per frame or more")  # fmt: skip
        for index, note in enumerate(notes):
            self.words(left - _GAP, top + index * 17, note, 8, ha="right", color=_FAINT)

    def save(self, path: Path) -> None:
        """Write it; characters that the font lacks become boxes."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            save_figure(self._figure, path)


def draw_dataset(
    folder: Path,
    manifest: Manifest,
    videos: Sequence[StoredVideo],
    path: Path,
    columns: int = 6,
) -> None:
    """Draw a row per video: its class and name, and evenly spread snippets.

    Args:
        folder: The dataset; its name is the title.
        manifest: Of the dataset.
        videos: At least one.
        path: The PNG.
        columns: Snippets per video at most.

    Raises:
        UserError: The file cannot be written.
    """
    width = 176
    rows = []
    for video in sorted(videos, key=lambda video: (video.row.label, video.row.path)):
        chosen = _spread(manifest.snippets, columns)
        rows.append((video, chosen, [_Cell.of(video, snippet) for snippet in chosen]))
    full = _full_speed([cell for _, _, cells in rows for cell in cells])
    drawn = [[cell.draw(width, full) for cell in cells] for _, _, cells in rows]
    heights = [max(max(map(len, strip)), 110) + _LINE + 2 * _GAP for strip in drawn]
    across = len(rows[0][1]) * (width + _GAP) - _GAP
    sheet = _Sheet(
        2 * _MARGIN + _SIDE + across, _HEAD + sum(heights) + _MARGIN - 2 * _GAP
    )
    sheet.head(
        printable(folder.resolve().name),
        [
            f"{manifest.videos} videos of {len(manifest.labels)} classes, "
            f"{len(rows)} of them here",
            _what(manifest),
        ],
        full,
    )
    y = _HEAD
    for (video, chosen, _), strip, height in zip(rows, drawn, heights, strict=True):
        _caption(sheet, y, video)
        picture = (len(strip[0]) + _SEAM) // (1 + len(manifest.flow))
        for index, field in enumerate(manifest.flow, 1):
            middle = y + _LINE + index * picture + picture // 2
            sheet.words(_MARGIN + _SIDE - _GAP, middle, field, 7.5, ha="right",
                        va="center", color=_FAINT)  # fmt: skip
        for column, (snippet, pixels) in enumerate(zip(chosen, strip, strict=True)):
            x = _MARGIN + _SIDE + column * (width + _GAP)
            sheet.words(x, y, _when(video, snippet), 7.5, color=_FAINT)
            sheet.picture(x, y + _LINE, pixels)
        y += height
    sheet.save(path)


def draw_video(video: StoredVideo, path: Path, columns: int = 5) -> None:
    """Draw the K snippets of a video (50 at most), in reading order.

    Args:
        video: The video.
        path: The PNG.
        columns: Snippets side by side at most.

    Raises:
        UserError: The file cannot be written.
    """
    row, manifest = video.row, video.manifest
    width = 232
    chosen = _spread(manifest.snippets, _MOST_SNIPPETS)
    cells = [_Cell.of(video, snippet) for snippet in chosen]
    full = _full_speed(cells)
    drawn = [cell.draw(width, full) for cell in cells]
    columns = min(max(columns, 3), max(len(cells), 3))  # room for the head
    lines = -(-len(cells) // columns)
    step = len(drawn[0]) + _LINE + 2 * _GAP
    sheet = _Sheet(
        2 * _MARGIN + columns * (width + _GAP) - _GAP,
        _HEAD + lines * step + _MARGIN - 2 * _GAP,
    )
    lasting = f", {row.frames / row.rate:.1f} s" if row.rate else ""
    sheet.head(
        printable(row.path),
        [
            f"{printable(row.label)}; in splits: {role_words(row.roles)}; "
            f"{row.frames} frames{lasting}; {row.width}x{row.height}",
            _what(manifest),
        ],
        full,
    )
    for place, (snippet, pixels) in enumerate(zip(chosen, drawn, strict=True)):
        x = _MARGIN + place % columns * (width + _GAP)
        y = _HEAD + place // columns * step
        sheet.words(x, y, _when(video, snippet), 7.5, color=_FAINT)
        sheet.picture(x, y + _LINE, pixels)
    sheet.save(path)


def _caption(sheet: _Sheet, y: int, video: StoredVideo) -> None:
    row = video.row
    folder, _, name = row.path.rpartition("/")
    lasting = f", {row.frames / row.rate:.1f} s" if row.rate else ""
    room = _SIDE - _GAP
    y += _LINE
    sheet.words(_MARGIN, y, printable(row.label), 10.5, room, weight="bold")
    details = [printable(name), f"in splits: {role_words(row.roles)}",
               f"{row.frames} frames{lasting}, {row.width}x{row.height}"]  # fmt: skip
    if folder and folder != row.label:
        details.insert(1, f"in {printable(folder)}")
    for index, line in enumerate(details):
        sheet.words(_MARGIN, y + 24 + index * 17, line, 8, room, color=_FAINT)


def _what(manifest: Manifest) -> str:
    fields = ", ".join(manifest.flow)
    return f"first frames of snippets over the middle pair of their flow: {fields}"


def _when(video: StoredVideo, snippet: int) -> str:
    position, rate = video.positions[snippet], video.row.rate
    return f"{position / rate:.1f} s" if rate else f"frame {position}"


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` of `count` numbers, evenly spread; all if there are fewer."""
    wanted = min(wanted, count)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def _full_speed(cells: Sequence[_Cell]) -> float:
    """The round speed that 99 % of the vectors shown stay below."""
    speeds = np.concatenate(
        [
            np.hypot(*np.moveaxis(flow.dequantise(codes[::4, ::4]), -1, 0)).ravel()
            for cell in cells
            for codes in cell.codes
        ]
    )
    fast = np.quantile(speeds, 0.99)
    return float(next((s for s in _SPEEDS if s >= fast), _SPEEDS[-1]))


def _wheel(side: int, full: float) -> np.ndarray:
    """What each motion looks like: uint8 RGB (side, side, 3), no motion at its centre.

    Drawn larger and averaged, so that its rim is smooth.
    """
    fine = 4 * side
    axis = np.linspace(-1, 1, fine)
    u, v = np.meshgrid(axis, axis)
    scale = min(full, FLOW_BOUND)
    painted = flow.colour(flow.quantise(np.stack([u, v], -1) * scale), full)
    painted[np.hypot(u, v) > 1] = _PAPER
    return cv2.resize(painted, (side, side), interpolation=cv2.INTER_AREA)


def _cut(text: str, length: int) -> str:
    """Shorten a text in its middle: names differ at their ends."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[: length - 1 - half]}\u2026{text[len(text) - half :]}"
