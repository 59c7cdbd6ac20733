"""Find a stage's learning rate before a long run.

python -m stfn_keras.commands.find_rate --data DIR --stage rgb --out OUT [train's flags]
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands import train
from stfn_keras.config import STREAMS, ModelConfig
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command: its own, and those of train.py's settings."""
    absl_flags.DEFINE_string(
        "data", None, "dataset directory, or its address: s3://...", required=True
    )
    absl_flags.DEFINE_string("out", None, "folder of table and picture", required=True)
    absl_flags.DEFINE_enum(
        "stage", None, [*STREAMS, "fusion"], "the stage to test", required=True
    )
    absl_flags.DEFINE_float("low", 1e-6, "learning rate of the first step")
    absl_flags.DEFINE_float("high", 1.0, "learning rate of the last step")
    absl_flags.DEFINE_integer("steps", 100, "optimiser steps of the test")
    absl_flags.DEFINE_string(
        "towers_from", None, "for the fusion: a run with finished towers"
    )
    absl_flags.DEFINE_string(
        "init_from", None, "start from the weights of this run, or archive of one"
    )
    train.define_settings()


def main(_: Sequence[str]) -> None:
    """Run the test, print what it suggests and where it is."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.training.rate_finder import find_rate

    values = absl_flags.FLAGS
    out = Path(values.out)
    found = find_rate(
        open_data(values.data, flags.read(CacheConfig)),
        out,
        flags.read(ModelConfig),
        train.read_training(),
        values.stage,
        values.low,
        values.high,
        values.steps,
        Path(values.towers_from) if values.towers_from else None,
        flags.read(VerifyConfig),
        Path(values.init_from) if values.init_from else None,
    )
    print(found.explained(values.stage))
    print(f"curve: {out / f'rate_finder-{values.stage}.png'}, and .csv beside it")


if __name__ == "__main__":
    define_flags()
    flags.run(main)
