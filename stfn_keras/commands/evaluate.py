"""Evaluate a run on its test videos: `python evaluate.py --run RUN`.

RUN may be an archive made by `python -m stfn_keras.training.publish`, with --data.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "run", None, "run directory, or its archive", required=True
    )
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    absl_flags.DEFINE_string(
        "views", "", "SxC: samplings and crops per video; empty: the centre view"
    )
    absl_flags.DEFINE_integer(
        "max_views_per_batch", 32, "views per forward pass", lower_bound=1
    )
    absl_flags.DEFINE_string(
        "report", None, "report directory, if not RUN/report (an archive's: RUN.report)"
    )
    flags.define(VerifyConfig)
    absl_flags.DEFINE_bool("json", False, "print the metrics as one JSON object")


def main(_: Sequence[str]) -> None:
    """Evaluate, then print the accuracies and where the report is."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.evaluation.evaluate import evaluate
    from stfn_keras.training.archive import opened

    values = absl_flags.FLAGS
    path = Path(values.run)
    default = (
        path.with_name(f"{path.name}.report") if path.is_file() else path / "report"
    )
    report = Path(values.report) if values.report else default
    with opened(path) as run:
        if not (location := values.data or run.data):
            raise UserError(f"the archive {path} needs --data: where its data lie here")
        found = evaluate(
            run,
            values.views,
            values.max_views_per_batch,
            open_data(location, flags.read(CacheConfig)),
            report,
            flags.read(VerifyConfig),
        )
    if values.json:
        print(json.dumps(found))
        return
    print(f"test videos          {found['videos']}")
    for name in [n for n in found if n.endswith(("top1", "top5", "accuracy"))]:
        print(f"{name:<27}{100 * found[name]:6.2f} %")
    print(f"report: {report / 'index.html'}")


def run() -> None:
    """Entry point of the console script; `fuse` is a command of its own."""
    if sys.argv[1:2] == ["fuse"]:
        from stfn_keras.commands import fuse

        del sys.argv[1]
        fuse.run()
        return
    define_flags()
    flags.run(main)
