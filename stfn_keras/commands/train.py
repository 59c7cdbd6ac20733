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
    TrainingConfig,
)

STAGE_FLAGS = (
    ("rgb", "rgb", PixelStageConfig, RGB_STAGE),
    ("flow", "flow_stage", PixelStageConfig, FLOW_STAGE),
    ("fusion", "fusion", StageConfig, FUSION_STAGE),
    ("end_to_end", "end_to_end", PixelStageConfig, END_TO_END_STAGE),
)


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("data", None, "dataset directory", required=True)
    absl_flags.DEFINE_string("out", None, "run directory", required=True)
    absl_flags.DEFINE_string(
        "towers_from", None, "take the finished towers of this run"
    )
    flags.define(ModelConfig)
    flags.define(TrainingConfig)
    for name, _, cls, defaults in STAGE_FLAGS:
        flags.define(cls, f"{name}_", defaults)


def read_training() -> TrainingConfig:
    """The training settings that the flags say."""
    stages = {field: flags.read(cls, f"{name}_", defaults)
              for name, field, cls, defaults in STAGE_FLAGS}  # fmt: skip
    return flags.read(TrainingConfig, defaults=TrainingConfig(**stages))


def main(_: Sequence[str]) -> None:
    """Train, then say what comes next."""
    import_keras_quietly()
    from stfn_keras.training.train import train

    values = absl_flags.FLAGS
    run = train(
        Path(values.data),
        Path(values.out),
        flags.read(ModelConfig),
        read_training(),
        Path(values.towers_from) if values.towers_from else None,
    )
    if run.network_file.exists():
        print(f"trained: {run.folder}\nnext: python evaluate.py --run {run.folder}")
    else:
        print(f"stages done so far are in {run.folder}; the network is not whole yet")


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
