"""What a stage minimises, and the sums of a batch that every figure comes from.

    objective = Objective({"logits": 1.0}, classes=101, label_smoothing=0.1)
    loss, sums = objective(outputs, labels, weights)
    epoch.add(sums)      # `Sums`, in float64
    epoch.row()          # {"loss": 0.71, "top1": 0.83, "mean_class": 0.81}

Sums of parts of a batch add up to those of the whole, so figures are exact on any
number of devices and in batches computed in parts. In Keras alone, for any backend.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

Tensors = Mapping[str, Any]
MOST_PENDING = 16  # batches whose sums a device may still have


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of the logits, and of the streams' own ones as far as wanted.

    Attributes:
        heads: Weight of each output's loss, by the output's name.
        classes: How many classes there are.
        label_smoothing: Share of the labels that is spread over all classes.
    """

    heads: Mapping[str, float]
    classes: int
    label_smoothing: float = 0.0

    def __call__(
        self,
        outputs: Tensors,
        labels: Tensors,
        weights: Tensors | None = None,
        shown: Any = None,
    ) -> tuple[Any, dict[str, Any]]:
        """The loss summed over a batch, and the batch's sums.

        Args:
            outputs: Logits (batch, classes) by head.
            labels: Shares of the classes, (batch, classes) by head.
            weights: Of each video in the loss, (batch,) by head.
            shown: 1 for a video, 0 for one that only fills the batch; (batch,).

        Returns:
            The loss, a float32 number, and float32 sums over the batch: `videos`,
            `loss`, with several heads `<head>_loss`, and `confusion`, (classes,
            classes) videos by true and predicted class.
        """
        if shown is None:
            shown = ops.ones_like(labels["logits"][:, 0])
        total, sums = 0.0, {"videos": ops.sum(shown)}
        for head, weight in self.heads.items():
            loss = keras.losses.categorical_crossentropy(
                labels[head],
                ops.cast(outputs[head], "float32"),
                from_logits=True,
                label_smoothing=self.label_smoothing,
            )
            if weights is not None:
                loss = loss * weights[head]
            loss = ops.sum(loss * shown)
            total = total + weight * loss
            if len(self.heads) > 1:
                sums[f"{head}_loss"] = loss
        sums["loss"] = total
        truth, found = (
            ops.one_hot(ops.argmax(scores["logits"], -1), self.classes, dtype="float32")
            for scores in (labels, outputs)
        )
        sums["confusion"] = ops.matmul(ops.transpose(truth * shown[:, None]), found)
        return total, sums


class Sums:
    """Sums over the batches of an epoch, in float64.

    Batches are added up when somebody asks, so that a device need not be waited for.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self._arrays = {k: np.array(v, np.float64) for k, v in (arrays or {}).items()}
        self._pending: deque[Tensors] = deque()

    def add(self, sums: Tensors) -> None:
        """Add what `Objective` gave for a batch."""
        self._pending.append(sums)
        if len(self._pending) > MOST_PENDING:  # they take the device's memory
            self._fetch()

    def _fetch(self) -> None:
        for key, value in self._pending.popleft().items():
            array = np.asarray(value, np.float64)
            self._arrays[key] = self._arrays.get(key, 0.0) + array

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The sums so far, float64; waits for the device."""
        while self._pending:
            self._fetch()
        return self._arrays

    @property
    def confusion(self) -> np.ndarray:
        """Videos by true and predicted class, int64 (classes, classes)."""
        return self.arrays["confusion"].astype(np.int64)

    def row(self) -> dict[str, float]:
        """Mean losses, `top1` and `mean_class` (of the classes that occurred), 0..1."""
        arrays = self.arrays
        videos = float(arrays["videos"])
        row = {k: float(v) / videos for k, v in arrays.items() if k.endswith("loss")}
        seen, right = arrays["confusion"].sum(axis=1), arrays["confusion"].diagonal()
        occurred = seen > 0
        row["top1"] = float(right.sum() / videos)
        row["mean_class"] = float((right[occurred] / seen[occurred]).mean())
        return {"loss": row.pop("loss"), **row}
