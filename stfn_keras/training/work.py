"""What every stage works with: a run, its data, and the towers it takes.

work = Work(run, folder, manifest, towers_run(run))
work.source("r", {"rgb": 224, "flow": 224})  # the training shards, at these sizes
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stfn_keras.config import DEFAULT_MACHINE, STREAMS, MachineConfig
from stfn_keras.data.holdout import (
    TrainingParts,
    balanced_weights,
    split_training,
    training_videos,
)
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import Source, open_source
from stfn_keras.training.checkpoint import StageCheckpoints
from stfn_keras.training.engines.engine import Engine
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.initial import Initial
from stfn_keras.training.precision import precision_scope
from stfn_keras.training.run import Run
from stfn_keras.training.stage import Stage
from stfn_keras.video.extent import Extent


@dataclass(frozen=True)
class Work:
    """A run and what goes with it.

    Attributes:
        run: The run.
        data: Where its data lie.
        manifest: The data's.
        towers_run: The run whose towers it takes, by default itself.
        initial: The weights that its stages start from, if not ImageNet's or random.
        machine: How its stages are computed.
    """

    run: Run
    data: Path
    manifest: Manifest
    towers_run: Run
    initial: Initial | None = None
    machine: MachineConfig = DEFAULT_MACHINE

    @cached_property
    def engine(self) -> Engine:
        """What computes the steps of its stages."""
        return make_engine(self.machine)

    @property
    def writes_to(self) -> Path | None:
        """The run's folder where this process writes; None for a further worker."""
        return self.run.folder if self.engine.is_chief else None

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Within it the stages' networks are built: for its devices and precision."""
        with self.engine.scope(), precision_scope(self.run.training.precision):
            yield

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.run.labels)

    def stage(self, name: str) -> Stage:
        """Settings and place of a stage."""
        training = self.run.training
        return Stage(
            name,
            training.stage(name),
            self.run.folder,
            self.run.labels,
            training.seed,
            training.stream_loss if name in ("fusion", "end_to_end") else 0.0,
            machine=self.machine,
            precision=training.precision,
        )

    def source(self, role: str, sizes: dict[str, int]) -> Source:
        """The shards of a role of the run's split, read at these sizes.

        With `--folds` the training videos are parted: role `r` is what trains, `v`
        what was held out of it.
        """
        training = self.run.training
        parts = (
            {"r": self.parts.train, "v": self.parts.validation} if self.parts else {}
        )
        source = open_source(
            self.data,
            self.manifest,
            training.split,
            "r" if role in parts else role,
            self.run.flow,
            sizes,
            Extent.of(self.run.model),
        )
        return dataclasses.replace(source, only=parts.get(role))

    @cached_property
    def parts(self) -> TrainingParts | None:
        """The training videos, parted by `--folds`; None without it."""
        training = self.run.training
        if not training.folds:
            return None
        return split_training(self.data, training.split, training.folds, training.fold)

    @cached_property
    def class_weights(self) -> tuple[float, ...]:
        """The classes' weights in the loss; empty where all weigh alike."""
        training = self.run.training
        if training.class_weights == "none":
            return ()
        videos = training_videos(self.data, training.split)
        if self.parts:
            videos = [video for video in videos if video.path in self.parts.train]
        return balanced_weights(videos, self.manifest.labels)

    def checkpoints(self, name: str) -> StageCheckpoints:
        """A stage's checkpoints; a tower's are those of the run it is taken from."""
        run = self.towers_run if name in STREAMS else self.run
        return StageCheckpoints.open(run.checkpoints / name)

    def validates(self, stage: str) -> bool:
        """Whether a stage validates: on videos that nothing before it trained on."""
        used = stage in ("fusion", "end_to_end")
        if used and self.run.training.fusion_videos != "train":
            return False
        return self.has_validation

    @property
    def has_validation(self) -> bool:
        """Whether there are validation videos."""
        return bool(self.parts) or self.manifest.count(self.run.training.split, "v") > 0
