"""Checkpoints of one stage: atomic, digested, the last few and the best kept.

    kept = StageCheckpoints.open(folder)
    position, sums = kept.restore(model, optimizer)
    kept.save(model, optimizer, Position(3, 120), sums, score=None)

A checkpoint is a `.keras` file of the fitted model, to which the state of the training
is added: the optimiser's variables, the counters of dropout, and the sums of the epoch
so far. It is read as weights into a model that our own code built, so no code in a
file is ever run.
"""

import dataclasses
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from absl import logging

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256, write_json, written_aside
from stfn_keras.training.state import TrainingState, read_state, write_state

ENTRY = ("epoch", "step", "file", "sha256")


@dataclass(frozen=True, order=True)
class Position:
    """How far a stage is: whole epochs, and steps of the next one."""

    epoch: int = 0
    step: int = 0

    @property
    def file(self) -> str:
        """Name of the checkpoint at this position."""
        within = f"-step-{self.step:06d}" if self.step else ""
        return f"epoch-{self.epoch:04d}{within}.keras"

    @property
    def number(self) -> int:
        """Grows with the position."""
        return self.epoch * 1_000_000_000 + self.step


def _position(entry: dict) -> Position:
    return Position(entry["epoch"], entry["step"])


def save_model(
    model: keras.Model, path: Path, state: TrainingState | None = None
) -> str:
    """Write a `.keras` file, whole or not at all; return its SHA-256."""
    with written_aside(path) as aside:
        model.save(aside)
        if state is not None:
            write_state(aside, state)
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
    kept: list[dict] = field(default_factory=list)  # oldest first: ENTRY
    best: dict | None = None  # ENTRY, and score
    made_of: dict = field(default_factory=dict)  # SHA-256 of what it was trained on

    @classmethod
    def open(cls, folder: Path) -> "StageCheckpoints":
        """Read the stage's state; a folder without one is a stage not begun.

        Raises:
            UserError: The state is damaged, or not ours.
        """
        path = folder / "state.json"
        if not path.exists():
            return cls(folder)
        state = read_json(path, "a stage's state")
        try:
            stage = cls(folder=folder, **state)
            for entry in (*stage.kept, *([stage.best] if stage.best else [])):
                entry.setdefault("step", 0)  # older runs have none within an epoch
                if Path(entry["file"]).name != entry["file"]:
                    raise ValueError(f"{entry['file']} is no file name")
                if missing := [key for key in ENTRY if key not in entry]:
                    raise KeyError(missing[0])
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path} is damaged or not made by train.py: {error}; delete "
                f"{folder} to train the stage again, or choose a new --out"
            ) from error
        return stage

    def _write_state(self) -> None:
        state = dataclasses.asdict(self)
        del state["folder"]
        write_json(self.folder / "state.json", state)

    def is_better(self, score: float | None) -> bool:
        """Whether a score (higher is better) beats the best so far."""
        return score is not None and (self.best is None or score > self.best["score"])

    def save(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        position: Position,
        sums: Mapping[str, np.ndarray] | None = None,
        score: float | None = None,
        keep: int = 2,
    ) -> float:
        """Keep the training as it is at a position.

        A worse model never replaces the best one. What was written before stays until
        the new file and the new state are whole.

        Args:
            model: The fitted model.
            optimizer: Its optimiser.
            position: How far the stage is.
            sums: Of the epoch so far, where the position is within one.
            score: Ranks the model, higher is better.
            keep: So many of the newest stay.

        Returns:
            Seconds that it took.

        Raises:
            UserError: It cannot be written; the checkpoints before are intact.
        """
        began = time.monotonic()
        path = self.folder / position.file
        state = TrainingState.of(model, optimizer, sums or {})
        try:
            digest = save_model(model, path, state)
        except UserError as error:
            raise UserError(
                f"{error}; what was kept before is whole: make room, and run the same "
                "command to go on"
            ) from error
        entry = {**dataclasses.asdict(position), "file": path.name, "sha256": digest}
        self.epochs_done = position.epoch
        others = [e for e in self.kept if e["file"] != path.name]
        self.kept = [*others, entry][-keep:]
        if self.is_better(score):
            self.best = {**entry, "score": score}
        self._write_state()
        named = {e["file"] for e in (*self.kept, *([self.best] if self.best else []))}
        for old in self.folder.glob("epoch-*.keras"):
            if old.name not in named:
                old.unlink()
        return time.monotonic() - began

    def note(self, position: Position, score: float | None = None) -> None:
        """Know what another process saved, without writing: as far as epochs go."""
        self.epochs_done = position.epoch
        if self.is_better(score):
            entry = {**dataclasses.asdict(position), "file": position.file}
            self.best = {**entry, "sha256": "", "score": score}

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
        if self.made_of != made_of:
            self.made_of = dict(made_of)
            self._write_state()

    def finish(self) -> None:
        """Record that the stage has come to its end."""
        self.finished = True
        self._write_state()

    def restore(
        self, model: keras.Model, optimizer: keras.Optimizer
    ) -> tuple[Position, dict[str, np.ndarray]]:
        """Load the last good checkpoint: its position and the sums of its epoch.

        Raises:
            UserError: There are checkpoints, and every one is damaged.
        """
        found = {
            e["file"]: e for e in (*self.kept, *([self.best] if self.best else []))
        }
        for entry in sorted(found.values(), key=_position, reverse=True):
            path = self.folder / entry["file"]
            try:
                load_weights(model, path, entry["sha256"])
                state = read_state(path)
                state.restore(model, optimizer)
            except UserError as error:
                logging.warning("%s; trying the one before", error)
                continue
            position = _position(entry)
            self._forget_after(position)
            return position, state.sums
        if found:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged: delete that folder to "
                "train the stage again, or choose a new --out"
            )
        return Position(), {}

    def _forget_after(self, position: Position) -> None:
        """Go back to a position: later ones are trained, and written, again."""
        self.epochs_done = position.epoch

        self.kept = [entry for entry in self.kept if _position(entry) <= position]
        if self.best is not None and _position(self.best) > position:
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
