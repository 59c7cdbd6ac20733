"""Train a network: `python train.py --data DIR --out RUN [--flagfile RECIPE]`."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands.quiet import import_keras_quietly
from stfn_keras.config import (
    END_TO_END_STAGE,
    FLOW_STAGE,
    FUSION_STAGE,
    RGB_STAGE,
    ModelConfig,
    PixelStageConfig,
    StageConfig,
    TowerStageConfig,
    TrainingConfig,
)
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "data", None, "dataset directory, or its address: s3://...", required=True
    )
    absl_flags.DEFINE_string("out", None, "run directory", required=True)
    absl_flags.DEFINE_string(
        "towers_from", None, "take the finished towers of this run"
    )
    define_settings()


def define_settings() -> None:
    """Define the flags of data, network and stages, which other commands share."""
    flags.define(CacheConfig)
    flags.define(VerifyConfig)
    flags.define(ModelConfig)
    flags.define(TrainingConfig)
    flags.define(TowerStageConfig, "rgb_", RGB_STAGE)
    flags.define(TowerStageConfig, "flow_", FLOW_STAGE)
    flags.define(StageConfig, "fusion_", FUSION_STAGE)
    flags.define(PixelStageConfig, "end_to_end_", END_TO_END_STAGE)


def read_training() -> TrainingConfig:
    """The training settings that the flags say."""
    defaults = TrainingConfig(
        rgb=flags.read(TowerStageConfig, "rgb_", RGB_STAGE),
        flow_stage=flags.read(TowerStageConfig, "flow_", FLOW_STAGE),
        fusion=flags.read(StageConfig, "fusion_", FUSION_STAGE),
        end_to_end=flags.read(PixelStageConfig, "end_to_end_", END_TO_END_STAGE),
    )
    return flags.read(TrainingConfig, defaults=defaults)


def main(_: Sequence[str]) -> None:
    """Train, then say what comes next."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.training.train import train

    values = absl_flags.FLAGS
    run = train(
        open_data(values.data, flags.read(CacheConfig)),
        Path(values.out),
        flags.read(ModelConfig),
        read_training(),
        Path(values.towers_from) if values.towers_from else None,
        flags.read(VerifyConfig),
    )
    if run.network_file.exists():
        print(f"finished: {run.folder}\nnext: python evaluate.py --run {run.folder}")
    else:
        print(f"stages done so far are in {run.folder}; the network is not whole yet")


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
