"""A picture of a batch as the network sees it: RGB strips above flow strips.

figure = snippets_figure({"rgb": rgb, "flow": flow}, ["Archery", "Bowling"])
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from stfn_keras.video import flow as optical_flow

VIDEOS, SEGMENTS = 4, 8  # shown at most
CELL = 1.0  # inches, the side of a snippet
LEFT, TOP, BETWEEN, WHEEL, LEAST_WIDTH = 0.3, 0.3, 0.03, 1.2, 4.5  # inches
GAP = 0.015  # of a snippet's side: the grey frame around it
GREY = 200
LEAST_FULL = 1.0  # pixels per frame: slower than this is never painted as fast


def snippets_figure(inputs: dict[str, np.ndarray], names: Sequence[str]) -> plt.Figure:
    """Draw the first videos of a batch, a strip of segments for each stream.

    Of RGB the first frame of each snippet is shown, of flow the middle pair: hue is
    direction, saturation speed. Each video's colours are full at the fastest hundredth
    of its own motion, which the line above it says, in pixels per frame as the network
    is shown them.

    Args:
        inputs: `rgb` uint8 (batch, T, H, W, 3F), `flow` uint8 (batch, T, H, W, 2L),
            either or both.
        names: What to write above each video, (batch,).
    """
    first = next(iter(inputs.values()))
    videos, segments = min(len(first), VIDEOS), first.shape[1]
    chosen = np.linspace(0, segments - 1, min(segments, SEGMENTS)).round().astype(int)
    strip = CELL * len(chosen)
    block = TOP + (CELL + BETWEEN) * len(inputs)
    width = max(LEFT + strip + 0.1 + (WHEEL if "flow" in inputs else 0.0), LEAST_WIDTH)
    height = block * videos + 0.05
    figure = plt.figure(figsize=(width, height))
    for video in range(videos):
        below = height - video * block - TOP  # of the title, from the figure's foot
        title = names[video]
        for row, (stream, values) in enumerate(inputs.items()):
            pictures = values[video, chosen]
            if stream == "rgb":
                pictures = pictures[..., :3]
            else:
                pictures, full = _painted(pictures)
                title += f"   (flow: full colour is {full:.1f} px per frame)"
            bottom = below - (CELL + BETWEEN) * row - CELL
            place = (LEFT / width, bottom / height, strip / width, CELL / height)
            axes = figure.add_axes(place)
            axes.imshow(_strip(pictures), aspect="auto")
            axes.axis("off")
            middle = (0.5 * LEFT / width, (bottom + CELL / 2) / height)
            label = {"rgb": "RGB"}.get(stream, stream)
            figure.text(*middle, label, rotation=90, ha="center", va="center",
                        fontsize=8)  # fmt: skip
        figure.text(LEFT / width, (below + 0.06) / height, title, fontsize=9)
    if "flow" in inputs:
        left, bottom = width - WHEEL, height - TOP - WHEEL
        side = WHEEL - 0.1
        place = (left / width, bottom / height, side / width, side / height)
        _draw_wheel(figure.add_axes(place))
    return figure


def _painted(codes: np.ndarray) -> tuple[np.ndarray, float]:
    """Paint a video's middle pairs; uint8 (T, H, W, 3), and the full speed."""
    middle = codes.shape[-1] // 4 * 2
    pairs = codes[..., middle : middle + 2]
    vectors = optical_flow.dequantise(pairs)
    fast = np.percentile(np.hypot(vectors[..., 0], vectors[..., 1]), 99)
    full = max(float(fast), LEAST_FULL)
    return np.array([optical_flow.colour(code, full) for code in pairs]), full


def _strip(pictures: np.ndarray) -> np.ndarray:
    """Pictures (T, H, W, 3) side by side, in grey frames."""
    gap = max(round(GAP * pictures.shape[2]), 1)
    padded = np.pad(
        pictures, ((0, 0), (gap, gap), (gap, 0), (0, 0)), constant_values=GREY
    )  # (T, gap + H + gap, gap + W, 3)
    joined = np.concatenate(list(padded), axis=1)
    return np.pad(joined, ((0, 0), (0, gap), (0, 0)), constant_values=GREY)


def _draw_wheel(axes: plt.Axes) -> None:
    """Which colour is which direction."""
    side = np.linspace(-1.03, 1.03, 151)
    u, v = np.meshgrid(side, side)  # v grows downwards, as in a picture
    full = optical_flow.FLOW_BOUND
    codes = optical_flow.quantise(np.stack([u, v], axis=-1) * full)
    picture = optical_flow.colour(codes, full)
    picture[np.hypot(u, v) > 1.0] = 255
    axes.imshow(picture)
    axes.axis("off")
    axes.set_title("moves towards", fontsize=8)
