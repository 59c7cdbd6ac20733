"""How far a stage is: a bar on a terminal, a line now and then anywhere else.

progress = Progress("rgb", epochs=80, done=0, steps=400, batch=16)
with progress:
    model.fit(batches, callbacks=[progress], verbose=0)
"""

import sys
import time
from typing import Any

import keras
from tqdm import tqdm

LINE_SECONDS = 30.0  # between two lines where there is no terminal
SMOOTHING = 0.05  # of the bar's speed; a pause to validate hardly moves it


class Progress(keras.callbacks.Callback):
    """Videos per second, the time left of the stage, loss and top-1.

    Args:
        name: The stage's name.
        epochs: Epochs of the whole stage.
        done: Epochs that lie behind it already.
        steps: Batches in an epoch.
        batch: Videos in a batch.
    """

    def __init__(
        self, name: str, epochs: int, done: int, steps: int, batch: int
    ) -> None:
        super().__init__()
        self.name, self.epochs, self.steps, self.batch = name, epochs, steps, batch
        self.epoch, self.step = done, 0
        self.shown = ""
        self._counted_from: tuple[float, int] | None = None
        self._last_line = time.monotonic()
        self._bar = tqdm(
            total=epochs * steps * batch, initial=done * steps * batch, desc=name,
            unit=" videos", dynamic_ncols=True, smoothing=SMOOTHING,
            disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def videos(self) -> int:
        """Videos of the stage that were trained on, earlier calls included."""
        return (self.epoch * self.steps + self.step) * self.batch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Name the epoch."""
        self.epoch, self.step = epoch, 0
        self._bar.set_description(f"{self.name} epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Move on by a batch."""
        self.step += 1
        self._bar.update(self.batch)
        if logs:
            self.shown = ", ".join(
                f"{name} {float(logs[key]):.3f}"
                for name, key in (("loss", "loss"), ("top1", _top1(logs)))
                if key in logs
            )
            self._bar.set_postfix_str(self.shown, refresh=False)
        now = time.monotonic()
        if self._counted_from is None:  # the first batch is slow: graphs are made
            self._counted_from = (now, self.videos)
        last = self.epoch + 1 == self.epochs and self.step == self.steps
        if self._bar.disable and (last or now - self._last_line >= LINE_SECONDS):
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


def _top1(logs: dict[str, Any]) -> str:
    """Where Keras put the top-1: with several outputs its name has theirs in front."""
    return "top1" if "top1" in logs else "logits_top1"
