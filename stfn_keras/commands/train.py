"""Train a network: `python train.py --data DIR --out RUN [--flagfile RECIPE]`.

With --splits=1,2,3 every split is trained, with --seeds=3 each of them three times, in
runs of their own below --out, and evaluated: OUT/summary.csv has means and spread.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.config import (
    END_TO_END_STAGE,
    FLOW_STAGE,
    FUSION_STAGE,
    NETWORKS,
    RGB_STAGE,
    MachineConfig,
    ModelConfig,
    PixelStageConfig,
    StageConfig,
    TowerStageConfig,
    TrainingConfig,
)
from stfn_keras.config.experiment import RepeatConfig
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "data", None, "dataset directory, or its address: s3://...", required=True
    )
    absl_flags.DEFINE_string("out", None, "run directory", required=True)
    absl_flags.DEFINE_list(
        "towers_from",
        [],
        "take the finished towers of this run; with --splits, of a run for each",
    )
    absl_flags.DEFINE_string(
        "init_from", None, "start from the weights of this run, or archive of one"
    )
    flags.define(RepeatConfig)
    flags.define(MachineConfig)
    define_settings()
    absl_flags.DEFINE_flag(_ListNetworks())


class _ListNetworks(absl_flags.BooleanFlag):
    """Lists the networks as soon as it is read: it needs none of the other flags."""

    def __init__(self) -> None:
        text = "print what --network takes, a line for each, and end"
        super().__init__("list_networks", False, text)

    def parse(self, argument: Any) -> None:
        super().parse(argument)
        if not self.value:
            return
        width = max(map(len, NETWORKS))
        for name, network in NETWORKS.items():
            print(f"{name:{width}}  {network.description}")
        sys.exit(0)


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
    from stfn_keras.training.run import Run
    from stfn_keras.training.train import train

    values = absl_flags.FLAGS
    model, training, verify = (
        flags.read(ModelConfig), read_training(), flags.read(VerifyConfig),
    )  # fmt: skip
    machine = flags.read(MachineConfig)
    repeated, towers = read_repeated(), [Path(p) for p in values.towers_from]
    data = open_data(values.data, flags.read(CacheConfig))

    init_from = Path(values.init_from) if values.init_from else None

    def one(out: Path, training: TrainingConfig, towers: Path | None) -> Run:
        return train(data, out, model, training, towers, verify, init_from, machine)

    out = Path(values.out)
    if repeated.splits:
        if machine.strategy == "multi_worker":
            raise UserError(
                "--splits runs one training after another in one process. Received "
                "--strategy=multi_worker too: start each --split as a training of its "
                "own"
            )
        by_split = {Run.open(path).training.split: path for path in towers}
        if len(by_split) < len(towers) or set(by_split) - set(repeated.splits):
            raise UserError(
                "--towers_from must name at most a run for each of --splits. Received "
                f"runs of splits {', '.join(map(str, sorted(by_split)))}"
            )
        _train_splits(one, data, out, model, training, repeated, by_split)
        return
    if len(towers) > 1:
        raise UserError(
            f"--towers_from must be one run without --splits. Received: {len(towers)}"
        )
    run = one(out, training, towers[0] if towers else None)
    if run.network_file.exists():
        print(f"finished: {run.folder}\nnext: python evaluate.py --run {run.folder}")
    else:
        print(f"stages done so far are in {run.folder}; the network is not whole yet")


def read_repeated() -> RepeatConfig:
    """Splits, seeds and views; what does not go together is refused.

    Raises:
        UserError: --split beside --splits, or --seeds or --views without them.
    """
    values, repeated = absl_flags.FLAGS, flags.read(RepeatConfig)
    if repeated.splits and values["split"].present:
        raise UserError("expected --split or --splits. Received both: give one")
    if not repeated.splits:
        for name in ("seeds", "views"):
            if values[name].present:
                raise UserError(
                    f"--{name} repeats or evaluates the runs of --splits: give "
                    f"--splits={values.split} too"
                )
    return repeated


def _train_splits(*arguments: Any) -> None:
    from stfn_keras.experiments.splits import as_markdown, train_splits

    summary, out = train_splits(*arguments), arguments[2]
    if not len(summary):
        print(f"stages done so far are in {out}; the networks are not whole yet")
        return
    print(f"\n{as_markdown(summary)}\n")
    print(f"mean +- standard deviation over seeds, which share their split's towers; "
          f"{out / 'summary.csv'}")  # fmt: skip


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
