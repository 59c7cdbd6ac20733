"""Export a run as a SavedModel: `python export.py --run RUN --out models/NAME`."""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands.quiet import import_keras_quietly
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("run", None, "run directory", required=True)
    absl_flags.DEFINE_string("out", None, "export directory", required=True)
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    absl_flags.DEFINE_integer(
        "parity_videos", 64, "test videos on which parity is measured", lower_bound=1
    )
    flags.define(VerifyConfig)


def main(_: Sequence[str]) -> None:
    """Export, then print the measured parity and what comes next."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.exporting.export import export
    from stfn_keras.serving.folder import EXTRA
    from stfn_keras.training.run import Run

    values = absl_flags.FLAGS
    opened = Run.open(Path(values.run))
    folder = export(
        opened,
        Path(values.out),
        open_data(values.data or opened.data, flags.read(CacheConfig)),
        values.parity_videos,
        flags.read(VerifyConfig),
    )
    parity = json.loads((folder / EXTRA / "parity.json").read_text())["saved_model"]
    print(
        f"exported: {folder} ({parity['bytes'] / 1e6:.1f} MB); scores within "
        f"{parity['max_abs_diff']:.1e} of the evaluation on {parity['videos']} videos\n"
        f"next: python predict.py --model {values.out} VIDEO"
    )


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
