"""Checkpoints of one stage: atomic, digested, the last two and the best kept.

A checkpoint is a `.keras` file of the fitted model with its optimiser. It is read
as weights into a model that our own code built, so no code in a file is ever run.
"""

import dataclasses
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
from absl import logging

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256, write_json, written_aside


def save_model(model: keras.Model, path: Path) -> str:
    """Write a `.keras` file, whole or not at all; return its SHA-256."""
    with written_aside(path) as aside:
        model.save(aside)
        digest = sha256(aside)
    return digest


def load_weights(model: keras.Model, path: Path, digest: str) -> None:
    """Load a `.keras` file's weights after checking its digest.

    Raises:
        UserError: The file is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise UserError(f"expected a checkpoint: {path} does not exist")
    if sha256(path) != digest:
        raise UserError(f"the checkpoint {path} is damaged: its digest differs")
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} does not fit this network: {reason}") from error


@dataclass
class StageCheckpoints:
    """The checkpoints of one stage and how far it has come."""

    folder: Path
    epochs_done: int = 0
    finished: bool = False
    kept: list[dict] = field(default_factory=list)  # oldest first: epoch, file, sha256
    best: dict | None = None  # epoch, file, sha256, score
    made_of: dict = field(default_factory=dict)  # SHA-256 of what it was trained on

    @classmethod
    def open(cls, folder: Path) -> "StageCheckpoints":
        """Read the stage's state; a folder without one is a stage not begun."""
        if not (folder / "state.json").exists():
            return cls(folder)
        state = read_json(folder / "state.json", "a stage's state")
        return cls(folder=folder, **state)

    def _write_state(self) -> None:
        state = dataclasses.asdict(self)
        del state["folder"]
        write_json(self.folder / "state.json", state)

    def is_better(self, score: float | None) -> bool:
        """Whether a score (higher is better) beats the best so far."""
        return score is not None and (self.best is None or score > self.best["score"])

    def save(self, model: keras.Model, epoch: int, score: float | None) -> None:
        """Keep the model after `epoch` epochs; `score` (higher is better) may rank it.

        A worse model never replaces the best one.
        """
        file = f"epoch-{epoch:04d}.keras"
        entry = {"epoch": epoch, "file": file,
                 "sha256": save_model(model, self.folder / file)}  # fmt: skip
        self.epochs_done = epoch
        self.kept = [*self.kept, entry][-2:]
        if self.is_better(score):
            self.best = {**entry, "score": score}
        self._write_state()
        named = {e["file"] for e in (*self.kept, *([self.best] if self.best else []))}
        for path in self.folder.glob("epoch-*.keras"):
            if path.name not in named:
                path.unlink()

    def begin(self, made_of: dict[str, str]) -> None:
        """Record the towers (stream to SHA-256) that the stage is trained on.

        Raises:
            UserError: It was begun on others.
        """
        if self.made_of and self.made_of != made_of:
            raise UserError(
                f"the stage in {self.folder} was trained on other towers than there "
                "are now: delete that folder to train it again, or choose a new --out"
            )
        self.made_of = dict(made_of)
        self._write_state()

    def finish(self) -> None:
        """Record that the stage has come to its end."""
        self.finished = True
        self._write_state()

    def restore(self, model: keras.Model) -> int:
        """Load the last good checkpoint; return the epochs it has behind it.

        Raises:
            UserError: There are checkpoints, and every one is damaged.
        """
        for entry in reversed(self.kept):
            try:
                load_weights(model, self.folder / entry["file"], entry["sha256"])
            except UserError as error:
                logging.warning("%s; trying the one before", error)
                continue
            self._forget_after(entry["epoch"])
            return self.epochs_done
        if self.kept:
            raise UserError(f"every checkpoint in {self.folder} is damaged")
        return 0

    def _forget_after(self, epoch: int) -> None:
        """Go back to an epoch: later ones are trained, and written, again."""
        self.epochs_done = epoch
        self.kept = [entry for entry in self.kept if entry["epoch"] <= epoch]
        if self.best is not None and self.best["epoch"] > epoch:
            self.best = None

    def result(self) -> tuple[Path, str]:
        """File and SHA-256 of the stage's best model, or its last where none is.

        Raises:
            UserError: The stage is not finished, or its result is damaged.
        """
        if not self.finished:
            raise UserError(
                f"the training stage in {self.folder} is not finished: run the same "
                "train.py command again to continue it"
            )
        entry = self.best or self.kept[-1]
        path = self.folder / entry["file"]
        if not path.is_file() or sha256(path) != entry["sha256"]:
            raise UserError(
                f"the stage's result {path} is missing or damaged: delete the folder "
                f"{self.folder} and run the same train.py command to train it again"
            )
        return path, entry["sha256"]
