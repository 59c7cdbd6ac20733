"""Pictures of an explanation: a sheet of all segments, and an animation of them.

draw_explanation(shown, Path("report/heat/clip"))  # clip.png, clip.gif
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from stfn_keras.config import STREAMS
from stfn_keras.evaluation.explanation import BOTH, Explanation
from stfn_keras.figures import save_figure
from stfn_keras.files import written_aside
from stfn_keras.video import flow

OPACITY = 0.6  # of the hottest place
SEGMENT_MS = 600  # of the animation
SIDE = 224  # of a picture in the animation, pixels
BAR = 36  # height of its bars, pixels
COLOURS = {
    "rgb": "#3b6ea5", "flow": "#c46b2c", "difference": "#5a9a4a",
    "dynamic_rgb": "#8fb3d9", "dynamic_flow": "#e0aa80", BOTH: "#4d4d4d",
}  # fmt: skip
TITLES = {
    "rgb": "RGB", "flow": "flow", "difference": "difference",
    "dynamic_rgb": "dynamic RGB", "dynamic_flow": "dynamic flow", BOTH: "together",
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What is drawn.

    Attributes:
        title: Above the sheet: which video, what it was taken for.
        views: What the network saw, `rgb` and `flow`: uint8 (T, H, W, C).
        explanation: Why it decided so.
    """

    title: str
    views: Mapping[str, np.ndarray]
    explanation: Explanation

    @property
    def segments(self) -> int:
        """T."""
        return len(next(iter(self.views.values())))

    def picture(self, stream: str, segment: int) -> np.ndarray:
        """A segment that one stream saw, under its heat: uint8 RGB (H, W, 3).

        Of its frames the first, of its flow pairs the middle one.
        """
        reads = STREAMS[stream].reads
        seen = self.views[reads][segment]
        if reads == "flow":
            middle = seen.shape[-1] // 4 * 2  # channels u1, v1, u2, v2, ...
            seen = flow.colour(seen[..., middle : middle + 2])
        else:
            seen = seen[..., :3]
        return overlaid(seen, self.explanation.maps[stream][segment])


def overlaid(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat over a picture: the hotter, the less of the picture is left.

    Args:
        picture: uint8 RGB (H, W, 3).
        heat: float (H, W), 0..1; where it is 0 the picture stays as it is.
    """
    codes = (np.clip(heat, 0, 1) * 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(codes, cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = OPACITY * np.clip(heat, 0, 1)[..., None]
    return (picture * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def draw_explanation(shown: Shown, path: Path) -> None:
    """Write `path`.png, the sheet, and `path`.gif, the segments one after another."""
    save_figure(_sheet(shown), path.with_name(path.name + ".png"))
    frames = [
        Image.fromarray(_animated(shown, segment)) for segment in range(shown.segments)
    ]
    with written_aside(path.with_name(path.name + ".gif")) as aside:
        frames[0].save(aside, format="GIF", save_all=True, append_images=frames[1:],
                       duration=SEGMENT_MS, loop=0)  # fmt: skip


def _sheet(shown: Shown) -> plt.Figure:
    """A row of pictures per stream, and a bar of each segment's contribution."""
    streams, segments = list(shown.explanation.maps), shown.segments
    figure = plt.figure(
        figsize=(max(1.6 * segments, 5), 1.6 * len(streams) + 2.2), layout="constrained"
    )
    grid = figure.add_gridspec(
        len(streams) + 1, segments, height_ratios=[1.0] * len(streams) + [1.1]
    )
    for row, stream in enumerate(streams):
        for segment in range(segments):
            axes = figure.add_subplot(grid[row, segment])
            axes.imshow(shown.picture(stream, segment))
            axes.set_xticks([])
            axes.set_yticks([])
            if segment == 0:
                axes.set_ylabel(TITLES[stream])
    bars = figure.add_subplot(grid[-1, :])
    found = shown.explanation.contributions
    width = 0.8 / len(found)
    for number, (way, values) in enumerate(found.items()):
        places = np.arange(segments) + (number - (len(found) - 1) / 2) * width
        bars.bar(places, values, width, color=COLOURS[way], label=TITLES[way])
    bars.axhline(0, color="black", linewidth=0.8)
    bars.set_xlim(-0.5, segments - 0.5)
    bars.set_xticks(range(segments), [str(s + 1) for s in range(segments)])
    bars.set_xlabel("segment")
    bars.set_ylabel("contribution, logits")
    bars.legend(fontsize=8)
    figure.suptitle(shown.title, fontsize=10)
    return figure


def _animated(shown: Shown, segment: int) -> np.ndarray:
    """The streams side by side above bars of all segments, this one's dark."""
    size = (SIDE, SIDE)
    streams = shown.explanation.maps
    pictures = [cv2.resize(shown.picture(s, segment), size) for s in streams]
    top = np.hstack(pictures)
    found = shown.explanation.contributions
    values = found.get(BOTH, next(iter(found.values())))
    strip = np.full((BAR, top.shape[1], 3), 255, np.uint8)
    largest, middle = max(float(np.abs(values).max()), 1e-12), BAR // 2
    step = top.shape[1] / shown.segments
    for number, value in enumerate(values):
        end = middle - round(float(value) / largest * (middle - 2))
        left, right = round(number * step) + 2, round((number + 1) * step) - 3
        grey = 40 if number == segment else 170
        cv2.rectangle(strip, (left, middle), (right, end), (grey,) * 3, cv2.FILLED)
    return np.vstack([top, strip])
