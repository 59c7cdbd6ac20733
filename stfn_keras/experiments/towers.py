"""The finished towers of one split, which every row of an experiment shares.

towers = Towers.open(Run.open(folder), data)
towers.features(crops=1).streams["rgb"]  # of the test videos, computed once
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from stfn_keras.config import STREAMS, ModelConfig, TrainingConfig
from stfn_keras.data.manifest import DEFAULT_VERIFY, Manifest, VerifyConfig
from stfn_keras.errors import UserError
from stfn_keras.evaluation.feature_scores import ViewFeatures, cached_view_features
from stfn_keras.training.run import Run
from stfn_keras.training.stages import tower_digests, trained_towers
from stfn_keras.training.train import train
from stfn_keras.training.work import Work


@dataclass(frozen=True)
class Towers:
    """The towers of one split and the data they were trained on.

    Attributes:
        run: The run that holds them.
        data: Where its data lie.
        manifest: The data's.
        digests: SHA-256 of the towers' checkpoints by stream.
    """

    run: Run
    data: Path
    manifest: Manifest
    digests: dict[str, str]

    @classmethod
    def open(
        cls, run: Run, data: Path | None = None, verify: VerifyConfig = DEFAULT_VERIFY
    ) -> "Towers":
        """The towers that a run uses, its own or those of its `--towers_from`.

        Args:
            run: The run.
            data: Where its data lie now, if moved.
            verify: How the split's shards are checked.

        Raises:
            UserError: A tower is not finished or damaged, or the data are not those
                of the run.
        """
        own = Run.open(run.towers_from) if run.towers_from else run
        own = dataclasses.replace(own, model=towers_of(own.model))
        folder, manifest = own.manifest(data)
        manifest.verify(folder, verify.full, own.training.split, "rve")
        work = Work(own, folder, manifest, own)
        return cls(own, folder, manifest, tower_digests(work))

    @property
    def split(self) -> int:
        """The split that they were trained on, from 1."""
        return self.run.training.split

    def networks(self) -> dict[str, keras.Model]:
        """The towers with their own classifiers, by stream."""
        return trained_towers(Work(self.run, self.data, self.manifest, self.run))[0]

    def features(self, crops: int) -> ViewFeatures:
        """Features of the test videos."""
        return cached_view_features(self.run, self.data, self.manifest, crops)


def train_towers(
    data: Path,
    out: Path,
    model: ModelConfig,
    training: TrainingConfig,
    splits: Sequence[int],
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> list[Run]:
    """Train the towers of each split in `out/towers-split<N>`, or go on with them.

    Args:
        data: A dataset directory.
        out: Where the runs lie.
        model: The network; its towers and sizes count.
        training: The towers' stages.
        splits: From 1.
        verify: How the shards are checked first.

    Raises:
        UserError: Settings, data and folders do not go together; or the towers mix
            segments.
    """
    model = towers_of(model)
    if not model.is_pooled:
        raise UserError(
            "networks are compared on cached features of each segment. Received: "
            f"{model.read_whole_for}, with which the towers mix segments: train such "
            "networks with train.py"
        )
    stages = tuple(stream for stream in STREAMS if stream in model.streams)
    return [
        train(
            data, out / f"towers-split{split}", model,
            dataclasses.replace(training, split=split, stages=stages),
            verify=verify,
        )
        for split in splits
    ]  # fmt: skip


def towers_of(model: ModelConfig) -> ModelConfig:
    """The network that has all the towers which rows may want.

    They are both of the usual ones, whichever of them the network itself takes; or
    else its own streams.
    """
    usual = set(model.streams) <= {"rgb", "flow"}
    return dataclasses.replace(
        model,
        network="late_fusion",
        modalities=() if usual else model.streams,
        modality_weights=(),
    )
