"""Export a run as a SavedModel: `python export.py --run RUN --out models/NAME`.

RUN is a run directory, or an archive made by `python -m stfn_keras.training.publish`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "run", None, "run directory, or its archive", required=True
    )
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
    from stfn_keras.training.archive import opened

    values = absl_flags.FLAGS
    with opened(Path(values.run)) as run:
        location = values.data or run.data
        folder = export(
            run,
            Path(values.out),
            open_data(location, flags.read(CacheConfig)) if location else None,
            values.parity_videos,
            flags.read(VerifyConfig),
        )
    parity = json.loads((folder / EXTRA / "parity.json").read_text())["saved_model"]
    videos = "made-up videos" if parity.get("made_up") else "videos"
    print(
        f"exported: {folder} ({parity['bytes'] / 1e6:.1f} MB); scores within "
        f"{parity['max_abs_diff']:.1e} of the evaluation on {parity['videos']} {videos}"
    )
    if parity.get("made_up"):
        print(
            "no test video was read, and no accuracy measured: an archive does not say "
            "where its data lie; --data DATA measures on them"
        )
    print(f"next: python predict.py --model {values.out} VIDEO")


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
