"""What TensorBoard shows of a stage: its curves, its mistakes, and what it sees.

with StageBoard(run.folder / "tensorboard", "rgb", run.labels) as board:
    board.scalars({"loss": 0.7, "val_loss": 0.9, "rate": 1e-3}, epoch=1)
    if board.due(1, epochs=80):
        board.pictures(model, training, validation, epoch=1)

Training and validation are two logs of one stage, so that their curves share a chart.
Pictures are few and small, whatever the stage's length: event files stay small.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from stfn_keras.figures import as_pixels, confusion_figure
from stfn_keras.training.snippets_picture import snippets_figure

PICTURES = 6  # about so often a stage shows pictures, evenly spread, and at its end
PICTURE_SECONDS = 10.0  # at least, between two times before the end
MOST_PICTURES = 2 * PICTURES  # of one kind that a board writes, whoever asks
CONFUSION_DPI = 72


class StageBoard:
    """The TensorBoard logs of one stage.

    Args:
        folder: The run's TensorBoard folder; the stage's logs lie below it.
        stage: The stage's name.
        labels: The classes' names.
    """

    def __init__(self, folder: Path, stage: str, labels: Sequence[str]) -> None:
        self._folder = folder / stage
        self._labels = tuple(labels)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._shown: dict[str, int] = {}
        self._rested_from = time.monotonic()

    def __enter__(self) -> "StageBoard":
        return self

    def __exit__(self, *_: object) -> None:
        with self._forgiven():
            for writer in self._writers.values():
                writer.close()

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether pictures are due after an epoch, counted from 1, of so many.

        They are at the stage's end, at its start and now and then between; a stage of
        seconds shows them at its end alone.
        """
        if epoch == epochs:
            return True
        every = -(-epochs // PICTURES)
        rested = time.monotonic() - self._rested_from >= PICTURE_SECONDS
        return rested and epoch % every == 1 % every

    def scalars(self, row: dict[str, Any], epoch: int) -> None:
        """Write an epoch's numbers; what is no number is passed over.

        Args:
            row: As in the history: `loss`, `val_loss`, `rgb_logits_loss`, `rate`, ...
            epoch: Counted from 1.
        """
        with self._forgiven():
            for key, value in row.items():
                if isinstance(value, str) or key == "epoch":
                    continue
                log = "validation" if key.startswith("val_") else "training"
                with self._writer(log).as_default():
                    tf.summary.scalar(_tag(key.removeprefix("val_")), value, step=epoch)
            for writer in self._writers.values():
                writer.flush()

    def snippets(self, inputs: dict[str, Any], labels_one_hot: Any, epoch: int) -> None:
        """Show the first videos of a batch as the network sees them.

        Args:
            inputs: `rgb` uint8 (batch, T, H, W, 3F), `flow` uint8 (batch, T, H, W,
                2L), either or both; cached features show nothing.
            labels_one_hot: Shares of the classes, (batch, classes).
            epoch: Counted from 1.
        """
        shown: dict[str, np.ndarray] = {
            k: np.asarray(inputs[k]) for k in ("rgb", "flow") if k in inputs
        }
        if shown and self._has_room("snippets"):
            shares = np.asarray(labels_one_hot)
            names = [described(video, self._labels) for video in shares]
            self._image("snippets", as_pixels(snippets_figure(shown, names)), epoch)

    def confusion(
        self, counts: np.ndarray, epoch: int, log: str = "validation"
    ) -> None:
        """Show a confusion matrix.

        Args:
            counts: int (classes, classes), by true and predicted class.
            epoch: Counted from 1.
            log: Whose videos were counted, `validation` or `training`.
        """
        if self._has_room("confusion"):
            figure = confusion_figure(counts, self._labels)
            self._image("confusion", as_pixels(figure, CONFUSION_DPI), epoch, log)

    def pictures(
        self, batch: tuple, counted: tuple[str, np.ndarray], epoch: int
    ) -> None:
        """Show a training batch's snippets, and the confusion matrix.

        Args:
            batch: Arrays (inputs, {`logits`: shares of the classes}, ...).
            counted: Whose videos were counted, `validation` or `training` (while it
                went on), and the counts, see `confusion`.
            epoch: Counted from 1.
        """
        self._rested_from = time.monotonic()
        inputs, targets, *_ = batch
        self.snippets(inputs, targets["logits"], epoch)
        log, counts = counted
        self.confusion(counts, epoch, log)

    def _has_room(self, kind: str) -> bool:
        self._shown[kind] = self._shown.get(kind, 0) + 1
        return self._shown[kind] <= MOST_PICTURES

    def _image(
        self, tag: str, pixels: np.ndarray, epoch: int, log: str = "training"
    ) -> None:
        with self._forgiven():
            with self._writer(log).as_default():
                tf.summary.image(tag, pixels[None], step=epoch)
            self._writer(log).flush()

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """A log that cannot be written ends no training."""
        try:
            yield
        except tf.errors.OpError as error:
            logging.log_first_n(
                logging.WARNING, "TensorBoard's log cannot be written: %s", 1,
                error.message.splitlines()[0],
            )  # fmt: skip

    def _writer(self, log: str) -> tf.summary.SummaryWriter:
        if log not in self._writers:
            writer = tf.summary.create_file_writer(str(self._folder / log))
            self._writers[log] = writer
        return self._writers[log]


def _tag(key: str) -> str:
    """Where TensorBoard puts a column of the history: losses side by side."""
    if key == "loss" or key.endswith("_loss"):
        return "loss/" + (key.removesuffix("_loss") if key != "loss" else "total")
    if key in ("rate", "seconds"):
        return f"epoch/{key}"
    return f"accuracy/{key}"


def described(shares: np.ndarray, labels: Sequence[str]) -> str:
    """A video's class, or the shares of its two largest where it was mixed.

    Args:
        shares: Of the classes, (classes,).
        labels: The classes' names.
    """
    first, *others = np.argsort(-shares, kind="stable")[:2]
    if shares[first] > 0.99 or not others:
        return labels[first]
    return " + ".join(f"{100 * shares[i]:.0f} % {labels[i]}" for i in (first, *others))
