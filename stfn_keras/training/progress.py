"""How far a stage is: a bar on a terminal, a line now and then anywhere else.

with Progress("rgb", epochs=80, steps=400, batch=16) as progress:
    progress.at(epoch=3, step=0)
    progress.advance(sums.row)     # after every step
"""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

LINE_SECONDS = 30.0  # between two lines where there is no terminal
FIGURE_SECONDS = 0.5  # between two looks at the figures: each waits for the device
SMOOTHING = 0.05  # of the bar's speed; a pause to validate hardly moves it


class Progress:
    """Videos per second, the time left of the stage, loss and top-1.

    Args:
        name: The stage's name.
        epochs: Epochs of the whole stage.
        steps: Batches in an epoch.
        batch: Videos in a batch.
    """

    def __init__(self, name: str, epochs: int, steps: int, batch: int) -> None:
        self.name, self.epochs, self.steps, self.batch = name, epochs, steps, batch
        self.epoch, self.step = 0, 0
        self.shown = ""
        self._looked = 0.0
        self._counted_from: tuple[float, int] | None = None
        self._last_line = time.monotonic()
        self._bar = tqdm(
            total=epochs * steps * batch, desc=name, unit=" videos",
            dynamic_ncols=True, smoothing=SMOOTHING, disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def videos(self) -> int:
        """Videos of the stage that were trained on, earlier calls included."""
        return (self.epoch * self.steps + self.step) * self.batch

    def at(self, epoch: int, step: int = 0) -> None:
        """An epoch begins, or goes on after some steps; both counted from 0."""
        self.epoch, self.step = epoch, step
        if not self._bar.n:  # what lies behind a resumed stage is not its speed
            self._bar.initial = self.videos
            self._bar.n = self._bar.last_print_n = self.videos
        self._bar.set_description(f"{self.name} epoch {epoch + 1}/{self.epochs}")

    def advance(self, figures: Callable[[], dict[str, float]]) -> None:
        """Move on by a batch.

        Args:
            figures: Gives `loss` and `top1` of the epoch so far.
        """
        self.step += 1
        now = time.monotonic()
        last = self.epoch + 1 == self.epochs and self.step == self.steps
        quiet = self._bar.disable
        due = now - self._last_line >= LINE_SECONDS if quiet else False
        if due or last or (not quiet and now - self._looked >= FIGURE_SECONDS):
            self._looked = now
            row = figures()
            self.shown = f"loss {row['loss']:.3f}, top1 {row['top1']:.3f}"
            self._bar.set_postfix_str(self.shown, refresh=False)
        self._bar.update(self.batch)
        if self._counted_from is None:  # the first batch is slow: graphs are made
            self._counted_from = (now, self.videos)
        if quiet and (last or due):
            self._last_line = now
            print(self.line(now), file=sys.stderr, flush=True)

    def line(self, now: float) -> str:
        """What a log holds: where the stage is, how fast, and what is left.

        Args:
            now: Of the clock `time.monotonic`, seconds.
        """
        where = f"{self.name} epoch {self.epoch + 1}/{self.epochs}"
        where += f" batch {self.step}/{self.steps}"
        parts = [where, *([self.shown] if self.shown else [])]
        began, videos = self._counted_from or (now, self.videos)
        if now > began and self.videos > videos:
            speed = (self.videos - videos) / (now - began)
            left = (self.epochs * self.steps * self.batch - self.videos) / speed
            parts += [f"{speed:.3g} videos/s", f"{tqdm.format_interval(left)} left"]
        return ", ".join(parts)
