"""The picture of a prediction: frames, flow in colour, scores."""

from pathlib import Path

import matplotlib.pyplot as plt

from stfn_keras.figures import save_figure
from stfn_keras.files import shown
from stfn_keras.serving.predictor import Prediction
from stfn_keras.video import flow, image


def draw_sheet(prediction: Prediction, path: Path) -> None:
    """Write the contact sheet of a prediction as PNG.

    Top row: each segment's frame and its time. Middle row, where the network reads
    flow: the snippet's middle pair, direction as hue and speed as saturation. Below:
    the best scores.
    """
    prepared = prediction.prepared
    segments = len(prepared.positions)
    mosaics = next(iter(prepared.flow.values()), None)
    rows = 2 if mosaics else 1
    per = len(prepared.rgb) // segments
    aspect = prepared.height / prepared.width
    size = (1.9 * segments, rows * 1.9 * aspect + 2.6)
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(
        rows + 1, segments, height_ratios=[*[aspect] * rows, 1.0]
    )
    for column in range(segments):
        pictures = [image.decode_rgb(prepared.rgb[column * per])]
        if mosaics:
            codes = image.decode_flow(mosaics[column], prepared.height, prepared.width)
            pictures.append(flow.colour(codes[len(codes) // 2]))
        for row, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0 and prepared.rate > 0:
                seconds = prepared.positions[column] / prepared.rate
                axes.set_title(f"{seconds:.1f} s", fontsize=9)
            if column == 0:
                axes.set_ylabel(("RGB", "flow")[row])
    bars = figure.add_subplot(grid[rows, :])
    best = prediction.top(5)[::-1]
    bars.barh([label for label, _ in best], [score for _, score in best],
              color="#3b6ea5")  # fmt: skip
    bars.set_xlim(0, 1)
    bars.set_xlabel("score")
    for row, (_, score) in enumerate(best):
        bars.text(min(score + 0.01, 0.93), row, f"{score:.3f}", va="center")
    figure.suptitle(shown(prediction.video.name))
    save_figure(figure, path)
