"""The curve of a range test: smoothed, judged, written and drawn (NumPy only).

found = judged(rates, losses, diverged=True)
found.suggested                        # 0.0021, or None
write(found, "rgb", out)               # rate_finder-rgb.csv and .png
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stfn_keras.config import STREAMS
from stfn_keras.figures import save_figure
from stfn_keras.files import write_text
from stfn_keras.training.history import short_rate

DECADES = 0.25  # width of the smoothing, in powers of ten of the rate
STEPS_WIDE = 2.0  # and at least so many steps
FALL = 2.0  # a fall below so many times the batches' noise is none


@dataclass(frozen=True)
class RangeTest:
    """Rates and what came of them.

    Attributes:
        rates: Learning rate of each step, growing, (steps,).
        losses: Loss of each step's batch before the step, (steps,).
        smoothed: Weighted mean of the losses around each rate, (steps,).
        suggested: The rate where the smoothed loss falls fastest; None if it never
            fell by more than the batches differ.
        lowest: The rate of the lowest smoothed loss.
        diverged: Whether the loss exploded before the highest rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggested: float | None
    lowest: float
    diverged: bool

    def explained(self, stage: str) -> str:
        """The suggestion and its reason, for people."""
        if self.suggested is None:
            return (
                f"{stage}: no suggestion, the loss never fell by more than the batches "
                "differ: try more --steps, a lower --low or a higher --high"
            )
        flags = STREAMS[stage].reads if stage in STREAMS else stage
        said = (
            f"{stage}: --{flags}_rate={short_rate(self.suggested, 2)}, where the loss "
            f"falls fastest; the lowest is at {short_rate(self.lowest, 2)}: stay below"
        )
        if not self.diverged and self.lowest > 0.8 * self.rates[-1]:
            said += "; it still fell at --high: a higher one may show more"
        return said


def judged(rates: np.ndarray, losses: np.ndarray, diverged: bool) -> RangeTest:
    """Smooth the losses and find where they fall fastest.

    Around each rate the losses' mean and the line through them are taken, weighted by
    a normal distribution over the rate's logarithm. The suggestion is the rate of the
    steepest falling line between the start and the lowest mean.

    Args:
        rates: Growing, (steps,).
        losses: Finite, (steps,).
        diverged: Whether the loss exploded at the end.
    """
    places = np.log10(rates)
    # An explosion must not bend the curve before it.
    begin = float(np.median(losses[: max(len(losses) // 10, 3)]))
    calm = np.minimum(losses, 2.0 * begin)
    smoothed, slopes = _means_and_slopes(places, calm)
    lowest = int(np.argmin(smoothed))
    noise = float(np.std(calm[: lowest + 1] - smoothed[: lowest + 1]))
    fell = float(smoothed[: lowest + 1].max() - smoothed[lowest])
    suggested = None
    if fell > max(FALL * noise, 0.01 * abs(begin)):
        suggested = float(rates[int(np.argmin(slopes[: lowest + 1]))])
    at_lowest = float(rates[lowest])
    return RangeTest(rates, losses, smoothed, suggested, at_lowest, diverged)


def _means_and_slopes(
    places: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean around each place, and slope of the line fitted; (steps,) each."""
    wide = max(DECADES, STEPS_WIDE * (places[-1] - places[0]) / (len(places) - 1))
    apart = places[None, :] - places[:, None]  # (at, of)
    weights = np.exp(-0.5 * (apart / wide) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    middle, means = (weights * apart).sum(axis=1), weights @ values
    spread = (weights * apart**2).sum(axis=1) - middle**2
    return means, ((weights * apart) @ values - middle * means) / spread


def write(found: RangeTest, stage: str, out: Path) -> tuple[Path, Path]:
    """Write `rate_finder-STAGE.csv` and `.png` to a folder; return both."""
    table, picture = (out / f"rate_finder-{stage}{end}" for end in (".csv", ".png"))
    lines = ["step,rate,loss,smoothed"]
    for step, row in enumerate(
        zip(found.rates, found.losses, found.smoothed, strict=True)
    ):
        lines.append(f"{step},{row[0]:.6g},{row[1]:.6g},{row[2]:.6g}")
    write_text(table, "\n".join(lines) + "\n")
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.plot(found.rates, found.losses, ".", color="#9db7d5", ms=4, label="a batch")
    axes.plot(found.rates, found.smoothed, color="#3b6ea5", lw=2, label="smoothed")
    if found.suggested is not None:
        axes.axvline(found.suggested, color="#c8553d", lw=1.5,
                     label=f"suggested: {short_rate(found.suggested, 2)}")  # fmt: skip
        axes.axvspan(found.lowest, found.rates[-1], color="#c8553d", alpha=0.08, lw=0,
                     label=f"too high: from {short_rate(found.lowest, 2)}")  # fmt: skip
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda rate, _: short_rate(rate))
    axes.set_xlim(found.rates[0], found.rates[-1])
    before = found.losses[found.rates <= found.lowest]
    seen = np.concatenate([found.smoothed, before])
    margin = 0.1 * (seen.max() - seen.min()) or 1.0
    axes.set_ylim(seen.min() - margin, seen.max() + margin)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(f"Range test of the {stage} stage", loc="left", weight="bold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, edgecolor="none")
    save_figure(figure, picture)
    return table, picture
