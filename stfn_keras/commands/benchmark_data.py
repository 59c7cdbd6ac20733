"""Measure what binds a training stage, its input or its steps.

python -m stfn_keras.data.benchmark --data DIR --stage rgb [train.py's flags]

Prints the videos per second of reading records, of decoding and augmenting them too, of
the training step on a batch in memory, and of both together, and says what to do.
"""

import json
from collections.abc import Sequence

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands import train
from stfn_keras.config import STAGES, MachineConfig, ModelConfig
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command: its own, and those of train.py's settings."""
    absl_flags.DEFINE_string(
        "data", None, "dataset directory, or its address: s3://...", required=True
    )
    absl_flags.DEFINE_enum("stage", "rgb", list(STAGES), "the stage to measure")
    absl_flags.DEFINE_integer("steps", 20, "batches to measure, for each figure")
    absl_flags.DEFINE_float(
        "seconds", 60.0, "time for each figure, after which fewer batches do"
    )
    absl_flags.DEFINE_bool("json", False, "print the figures as JSON")
    flags.define(MachineConfig)
    train.define_settings()


def main(_: Sequence[str]) -> None:
    """Measure and print."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.training.throughput import measure_throughput

    values = absl_flags.FLAGS
    found = measure_throughput(
        open_data(values.data, flags.read(CacheConfig)),
        flags.read(ModelConfig),
        train.read_training(),
        values.stage,
        steps=values.steps,
        seconds=values.seconds,
        machine=flags.read(MachineConfig),
        verify=flags.read(VerifyConfig),
    )
    print(json.dumps(found.figures(), indent=2) if values.json else found.explained())


def run() -> None:
    """Entry point of the command."""
    define_flags()
    flags.run(main)
