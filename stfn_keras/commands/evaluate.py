"""Evaluate a run on its test videos: `python evaluate.py --run RUN`.

RUN may be an archive made by `python -m stfn_keras.training.publish`, with --data;
several runs with commas, one of each split, which are averaged; or a folder of
`train.py --splits`, whose runs with seed 0 are taken.

`python evaluate.py fuse A B ...` fuses scores; `python evaluate.py fuse --help`.
"""

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly

ROLES = {"test": "e", "validation": "v"}


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "run", None, "run directory, or its archive; several with commas", required=True
    )
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    absl_flags.DEFINE_enum(
        "videos", "test", list(ROLES),
        "which are scored; validation: those that weights of fusion are searched on",
    )  # fmt: skip
    absl_flags.DEFINE_string(
        "views", "", "SxC: samplings and crops per video; empty: the centre view"
    )
    absl_flags.DEFINE_integer(
        "max_views_per_batch", 32, "views per forward pass", lower_bound=1
    )
    absl_flags.DEFINE_string(
        "report", None,
        "report directory, if not RUN/report (an archive's: RUN.report); of several "
        "runs split<N>/ in it",
    )  # fmt: skip
    flags.define(VerifyConfig)
    absl_flags.DEFINE_bool("json", False, "print the metrics as one JSON object")


def main(_: Sequence[str]) -> None:
    """Evaluate, then print the accuracies and where the report is."""
    paths = named_runs(absl_flags.FLAGS.run)
    import_keras_quietly()
    from stfn_keras.evaluation.evaluate import check_splits_differ, over_splits
    from stfn_keras.training.archive import opened

    values = absl_flags.FLAGS
    found, reports = {}, []
    with contextlib.ExitStack() as stack:
        runs = {str(path): stack.enter_context(opened(path)) for path in paths}
        check_splits_differ(runs)
        for path, run in zip(paths, runs.values(), strict=True):
            split = run.training.split
            reports.append(_report(path, split, several=len(paths) > 1))
            found[split] = _evaluated(path, run, reports[-1])
    (first, *others) = found.values()
    metrics = over_splits(found) if others else first
    if values.json:
        print(json.dumps(metrics))
        return
    for split, one in found.items():
        if others:
            print(f"split {split}")
        print(_shown(one, values.videos))
    if others:
        print(f"mean over {len(found)} splits\n{_shown(metrics, values.videos)}")
    for report in reports:
        print(f"report: {report / 'index.html'}")


def named_runs(text: str) -> list[Path]:
    """The runs that --run names."""
    from stfn_keras.evaluation.entries import runs_of_splits

    found = []
    for part in [text] if Path(text).exists() else text.split(","):
        path = Path(part)
        several = path.is_dir() and not (path / "config.json").exists()
        found += (runs_of_splits(path) if several else []) or [path]
    return found


def _report(path: Path, split: int, several: bool) -> Path:
    from stfn_keras.evaluation.evaluate import FOLDERS

    values = absl_flags.FLAGS
    if values.report:
        given = Path(values.report)
        return given / f"split{split}" if several else given
    name = FOLDERS[ROLES[values.videos]]
    return path.with_name(f"{path.name}.{name}") if path.is_file() else path / name


def _evaluated(path: Path, run: Any, report: Path) -> dict[str, Any]:
    from stfn_keras.data.source import open_data
    from stfn_keras.evaluation.evaluate import evaluate

    values = absl_flags.FLAGS
    if not (location := values.data or run.data):
        raise UserError(f"the archive {path} needs --data: where its data lie here")
    return evaluate(
        run,
        values.views,
        values.max_views_per_batch,
        open_data(location, flags.read(CacheConfig)),
        report,
        flags.read(VerifyConfig),
        ROLES[values.videos],
    )


def _shown(found: dict[str, Any], videos: str) -> str:
    """The accuracies as text, with their intervals where there are some."""
    lines = []
    if "videos" in found:
        lines.append(f"{videos + ' videos':<21}{found['videos']}")
    for name, value in found.items():
        if name.startswith("split") or not name.endswith(("top1", "top5", "accuracy")):
            continue
        line = f"{name:<27}{100 * value:6.2f} %"
        if f"{name}_low" in found:
            low, high = (100 * found[f"{name}_{end}"] for end in ("low", "high"))
            line += f"   (95 %: {low:.1f} to {high:.1f})"
        lines.append(line)
    return "\n".join(lines)


def run() -> None:
    """Entry point of the console script; `fuse` is a command of its own."""
    if sys.argv[1:2] == ["fuse"]:
        from stfn_keras.commands import fuse

        del sys.argv[1]
        fuse.run()
        return
    define_flags()
    flags.run(main)
