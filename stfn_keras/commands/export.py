"""Export a run for servers and devices: `python export.py --run RUN --out models/NAME`.

RUN is a run directory, or an archive made by `python -m stfn_keras.training.publish`.
`--formats=all --bench` publishes every format and prints how they compare.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.exporting.options import ExportConfig
from stfn_keras.files import read_json
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "run", None, "run directory, or its archive", required=True
    )
    absl_flags.DEFINE_string("out", None, "export directory", required=True)
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    flags.define(ExportConfig)
    flags.define(VerifyConfig)


def main(_: Sequence[str]) -> None:
    """Export, then print the measured parity and what comes next."""
    config = flags.read(ExportConfig)
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.exporting.export import export
    from stfn_keras.exporting.table import refused
    from stfn_keras.serving.folder import EXTRA
    from stfn_keras.training.archive import opened
    from stfn_keras.training.finished import weights_digest

    values = absl_flags.FLAGS
    path = Path(values.run)
    with opened(path) as run:
        location = values.data or run.data
        folder = export(
            run,
            Path(values.out),
            open_data(location, flags.read(CacheConfig)) if location else None,
            config,
            flags.read(VerifyConfig),
        )
        digest = weights_digest(run)
    parity = json.loads((folder / EXTRA / "parity.json").read_text())
    _print(folder, parity, config.bench)
    _show(path, digest, parity)
    print(f"next: python predict.py --model {values.out} VIDEO")
    if (names := list(refused(parity))) and not config.allow_refused:
        raise UserError(
            f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} refused and "
            "not published, the other formats were; --allow_refused accepts that"
        )


def _print(folder: Path, parity: dict[str, Any], bench: bool) -> None:
    from stfn_keras.exporting.table import refused, text_table

    first = parity["saved_model"]
    videos = "made-up videos" if first.get("made_up") else "videos"
    print(
        f"exported: {folder} ({first['bytes'] / 1e6:.1f} MB); scores within "
        f"{first['max_abs_diff']:.1e} of the evaluation on {first['videos']} {videos}"
    )
    if bench:
        print(text_table(parity))
    else:
        for name, row in parity.items():
            if name != "saved_model" and row["passed"]:
                print(f"{name}: within {row['max_abs_diff']:.1e}")
        for name, reason in refused(parity).items():
            print(f"refused: {name}: {reason}")
    if first.get("made_up"):
        print(
            "no test video was read, and no accuracy measured: an archive does not say "
            "where its data lie; --data DATA measures on them"
        )


def _show(run: Path, digest: str, parity: dict[str, Any]) -> None:
    """Put the table into the report of the run's evaluation, if there is one.

    Args:
        run: The run directory, or its archive.
        digest: Of the weights that were exported.
        parity: As in `parity.json`.
    """
    from stfn_keras.evaluation.entries import TEST
    from stfn_keras.exporting.table import show_in_report

    report = run.with_name(f"{run.name}.{TEST}") if run.is_file() else run / TEST
    if not (report / "index.html").is_file():
        return
    try:
        found = read_json(report / "metrics.json", "a report").get("weights_digest")
        if found != digest:
            raise UserError(
                f"{report} is of other weights than the run's: run evaluate.py again "
                "before you export"
            )
        show_in_report(report, parity)
    except UserError as error:
        print(f"the report has no table of the formats: {error}")
    else:
        print(f"report: {report / 'index.html'}")


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
