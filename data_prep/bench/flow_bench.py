"""What each flow preset costs, and how wrong it is where the motion is known.

    python -m data_prep flow-bench --flow=dis,dis_fine,warped_dis --csv=flow.csv

renders sequences with exactly known motion (`flow_scenes`), computes every preset on
them and prints a table. For warped presets the truth is what moves against the
camera: where all of the motion is the camera's, it is zero.
"""

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from data_prep.bench.flow_scenes import Scene, make_scenes
from stfn_keras import flags
from stfn_keras.config import FLOW_BOUND, check_at_least, option
from stfn_keras.errors import UserError
from stfn_keras.files import write_text
from stfn_keras.video import flow

SMALL = 1.0  # pixels; less motion than this is small
LEAST_SIDE = 48  # pixels; below, the front layers shrink to nothing

HEADINGS = (
    "CPU ms per pair",
    "error, px",
    f"where motion < {SMALL:g} px",
    "at boundaries",
    f"beyond {FLOW_BOUND:g} px",
)


@dataclass(frozen=True)
class BenchConfig:
    """Which presets to measure, and on how much."""

    flow: tuple[str, ...] = option((), "presets, comma-separated; empty: all")
    frames: int = option(5, "pairs of frames of each sequence")
    size: str = option("340x256", "WIDTHxHEIGHT of the frames")
    csv: str = option("", "file to write the table to as well")

    def __post_init__(self) -> None:
        check_at_least(self, 1, "frames")
        sides = self.size.split("x")
        if len(sides) != 2 or not all(
            side.isdecimal() and int(side) >= LEAST_SIDE for side in sides
        ):
            raise UserError(
                f"--size must be WIDTHxHEIGHT of {LEAST_SIDE} pixels or more, such as "
                f"340x256. Received: {self.size!r}"
            )


@dataclass(frozen=True)
class Result:
    """What was measured of a preset, over all sequences.

    Attributes:
        preset: Its name.
        milliseconds: Of CPU time for a pair of frames.
        error: Mean end-point error in pixels: the length of the difference between
            the vector found and the true one.
        error_small: The same where the true motion is less than a pixel.
        error_boundary: The same within 5 pixels of a discontinuity of the motion.
        saturated: Share of vectors with a component beyond the code's bound.
        by_scene: Mean end-point error of each sequence.
    """

    preset: str
    milliseconds: float
    error: float
    error_small: float
    error_boundary: float
    saturated: float
    by_scene: dict[str, float]


@dataclass(frozen=True)
class Clip:
    """A rendered sequence.

    Attributes:
        scene: What it shows.
        frames: uint8 (height, width) each, in order.
    """

    scene: Scene
    frames: list[np.ndarray]


def render(config: BenchConfig) -> list[Clip]:
    """Render every sequence, one frame more than pairs."""
    width, height = map(int, config.size.split("x"))
    clips = []
    scenes = make_scenes(width, height)
    for scene in tqdm(scenes, desc="rendering", unit="sequence", leave=False):
        times = range(config.frames + 1)
        clips.append(Clip(scene, [scene.render(time) for time in times]))
    return clips


def measure(
    preset: str, clips: Sequence[Clip], advance: Callable[[], object] = lambda: None
) -> Result:
    """Compute a preset on every pair and compare it with the truth.

    Args:
        preset: A name in `flow.FLOW_PRESETS`.
        clips: At least one, of two frames or more.
        advance: Called after each pair.
    """
    residual = flow.get_preset(preset).warped
    seconds, pairs = 0.0, 0
    errors = {clip.scene.name: _Mean() for clip in clips}
    small, boundary, saturated = _Mean(), _Mean(), _Mean()
    # The first call makes the algorithm and its buffers.
    flow.compute(preset, *clips[0].frames[:2])
    for clip in clips:
        for index in range(len(clip.frames) - 1):
            start = time.process_time()
            field = flow.compute(preset, *clip.frames[index : index + 2])
            seconds += time.process_time() - start
            truth = clip.scene.motion(index, residual)
            error = np.linalg.norm(field - truth, axis=-1)
            errors[clip.scene.name].add(error)
            small.add(error[np.linalg.norm(truth, axis=-1) < SMALL])
            boundary.add(error[clip.scene.boundary(index)])
            saturated.add((np.abs(field) > FLOW_BOUND).any(axis=-1))
            pairs += 1
            advance()
    by_scene = {name: mean.value for name, mean in errors.items()}
    return Result(
        preset=preset,
        milliseconds=1000 * seconds / pairs,
        error=sum(by_scene.values()) / len(by_scene),
        error_small=small.value,
        error_boundary=boundary.value,
        saturated=saturated.value,
        by_scene=by_scene,
    )


def as_markdown(results: Sequence[Result]) -> str:
    """Two tables: the measures of each preset, and its error by sequence."""
    rows = [
        [
            result.preset,
            f"{result.milliseconds:.1f}",
            *map(_three, (result.error, result.error_small, result.error_boundary)),
            f"{result.saturated:.2%}",
        ]
        for result in results
    ]
    names = list(results[0].by_scene)
    errors = [
        [r.preset, *(_three(r.by_scene[name]) for name in names)] for r in results
    ]
    return "\n\n".join(
        (_table(["preset", *HEADINGS], rows), _table(["error, px", *names], errors))
    )


def as_csv(results: Sequence[Result]) -> str:
    """One line per preset, all measures in full."""
    text = io.StringIO()
    names = list(results[0].by_scene)
    writer = csv.writer(text, lineterminator="\n")
    measures = ("cpu_ms", "error", "error_small", "error_boundary", "saturated")
    writer.writerow(["preset", *measures, *names])
    for r in results:
        values = (r.milliseconds, r.error, r.error_small, r.error_boundary, r.saturated)
        writer.writerow([r.preset, *values, *r.by_scene.values()])
    return text.getvalue()


def main(argv: Sequence[str]) -> None:
    """Measure the presets that the flags name.

    Raises:
        UserError: An unknown preset, OpenCV without contrib, or the file cannot be
            written.
    """
    config = flags.read(BenchConfig)
    names = config.flow or tuple(flow.FLOW_PRESETS)
    presets = [flow.get_preset(name) for name in names]
    if any(preset.algorithm != "dis" for preset in presets):
        print(
            "tvl1 takes a second or two per pair, tvl1_fast and deepflow a good part "
            "of one; --flow=dis,dis_fine,warped_dis,warped_dis_fine is quick"
        )
    clips = render(config)
    pairs = len(presets) * sum(len(clip.frames) - 1 for clip in clips)
    results = []
    with tqdm(total=pairs, unit="pair") as bar:
        for name in names:
            bar.set_description(name)
            results.append(measure(name, clips, bar.update))
    print(
        f"{len(clips)} sequences of {config.frames} pairs, {config.size}, "
        f"OpenCV {cv2.__version__}\n\n{as_markdown(results)}"
    )
    if config.csv:
        write_text(Path(config.csv), as_csv(results))
        print(f"\nwritten to {config.csv}")


def run() -> None:
    """Entry of `python -m data_prep flow-bench`."""
    flags.define(BenchConfig)
    flags.run(main)


class _Mean:
    """A mean over values that come in parts."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, values: np.ndarray) -> None:
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


def _three(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


if __name__ == "__main__":
    run()
