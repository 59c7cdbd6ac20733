"""What an experiment keeps of one trained network: scores, metrics, settings.

    result = Result.load(folder)  # None unless it is there, undamaged
    result.right(shuffled=False)

A fusion network's checkpoint takes 100 MB and more, its scores take kilobytes; a grid
has hundreds of networks, so the checkpoints go once the scores are kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from stfn_keras.evaluation.metrics import ranks, summary
from stfn_keras.evaluation.scores import Scores
from stfn_keras.files import read_json, sha256, write_json, written_aside


@dataclass(frozen=True)
class Result:
    """The test videos' scores of one network.

    Attributes:
        scores: With the segments in their order.
        shuffled: Predicted classes with the segments shuffled, int64 (orders, N);
            (0, N) where the order cannot matter.
        settings: Of the network and its training, as JSON has them.
        seconds: What training and scoring took.
    """

    scores: Scores
    shuffled: np.ndarray
    settings: dict[str, Any]
    seconds: float

    def right(self, shuffled: bool = False) -> np.ndarray:
        """Which videos are right, bool (orders, N); one order unless shuffled."""
        label = self.scores.label
        if shuffled and len(self.shuffled):
            return self.shuffled == label
        return (ranks(label, self.scores.logits) < 1)[None]

    def save(self, folder: Path) -> None:
        """Write it; `result.json` comes last, and with it the result is there."""
        self.scores.save(folder / "scores.npz")
        with written_aside(folder / "shuffled.npz") as aside:
            np.savez(aside, predicted=self.shuffled)
        names = ("scores.npz", "shuffled.npz")
        metrics: dict[str, Any] = summary(self.scores)
        if len(self.shuffled):
            metrics["shuffled_video_top1"] = float(self.right(shuffled=True).mean())
        content = {
            "metrics": metrics,
            "seconds": round(self.seconds, 1),
            "settings": self.settings,
            "sha256": {name: sha256(folder / name) for name in names},
        }
        write_json(folder / "result.json", content)

    @classmethod
    def load(cls, folder: Path) -> "Result | None":
        """Read what `save` wrote; None if it is not there, or damaged."""
        if not (folder / "result.json").exists():
            return None
        stored = read_json(folder / "result.json", "a result")
        for name, digest in stored["sha256"].items():
            if not (folder / name).is_file() or sha256(folder / name) != digest:
                logging.warning("%s is damaged and is made again", folder / name)
                return None
        with np.load(folder / "shuffled.npz", allow_pickle=False) as arrays:
            shuffled = arrays["predicted"]
        scores = Scores.load(folder / "scores.npz")
        return cls(scores, shuffled, stored["settings"], stored["seconds"])
