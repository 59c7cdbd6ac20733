"""Labels and scores drawn over a frame.

overlay = Overlay(height=240)
picture = overlay.draw(frame, [("PushUps", 0.93), ("WallPushups", 0.04)], "1.2 s")
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Best = Sequence[tuple[str, float]]  # labels and scores, best first

_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_LEAST = 11  # pixels of a line of text that can be read
_SHADE = 0.35  # how much of the frame shows through
_BAR = (90, 160, 230)


class Overlay:
    """Draws the same lines fast: they are made once for all frames that show them.

    Args:
        height: Of the frames in pixels; a line of text takes a 22nd of it.
    """

    def __init__(self, height: int) -> None:
        self._line = max(_LEAST, height // 22)
        self._font = ImageFont.truetype(str(_FONT), self._line)
        self._shown: tuple | None = None
        self._panel = np.empty((0, 0, 3), np.uint8)

    def draw(self, frame: np.ndarray, best: Best, note: str = "") -> np.ndarray:
        """Give a copy of a frame with the lines over its upper left part.

        Args:
            frame: uint8 RGB (height, width, 3).
            best: What to show; a bar is as long as its score.
            note: A last line.
        """
        shown = (tuple((label, f"{score:.2f}") for label, score in best), note)
        if shown != self._shown:
            self._shown, self._panel = shown, self._made(best, note)
        rows = min(self._panel.shape[0], frame.shape[0])
        columns = min(self._panel.shape[1], frame.shape[1])
        panel = self._panel[:rows, :columns]
        picture = frame.copy()
        under = frame[:rows, :columns].astype(np.float32) * _SHADE
        picture[:rows, :columns] = np.maximum(panel, under.astype(np.uint8))
        return picture

    def _made(self, best: Best, note: str) -> np.ndarray:
        texts = [f"{score:.2f}  {label}" for label, score in best]
        texts += [note] if note else []
        if not texts:
            return np.empty((0, 0, 3), np.uint8)
        step, margin = self._line * 3 // 2, self._line // 2
        width = max(self._font.getlength(text) for text in texts)
        size = (int(width) + 2 * margin, len(texts) * step + margin)
        image = Image.new("RGB", size)
        pen = ImageDraw.Draw(image)
        for row, text in enumerate(texts):
            top = row * step + margin // 2
            pen.text((margin, top), text, font=self._font, fill=(255, 255, 255))
            if row < len(best):
                base, long = top + step - margin // 2, (size[0] - 2 * margin)
                end = margin + best[row][1] * long
                pen.rectangle((margin, base - 2, end, base), fill=_BAR)
        return np.asarray(image)
