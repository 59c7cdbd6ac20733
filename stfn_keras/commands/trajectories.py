r"""Score a split by hand-crafted features: `python -m stfn_keras.trajectories ...`.

    python -m stfn_keras.trajectories --data DATASET --videos FOLDER --features mifs \
        --split 1 --out runs/mifs --workers 2

`idt` is improved dense trajectories, `mifs` the same at several frame skips. OUT is
fused with networks by `python evaluate.py fuse runs/stfn OUT --on l2 --weights 1,0.5`.
Descriptors are kept beside OUT for all splits; the same command continues what was
stopped.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.cores import cores
from stfn_keras.trajectories.settings import EncodingConfig, ExtractionConfig
from stfn_keras.video.limits import DecodingConfig

FIGURES = ("video_top1", "mean_class_accuracy")


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "data", None, "dataset made by `python -m data_prep`", required=True
    )
    absl_flags.DEFINE_string(
        "videos", None, "folder of the videos that it was made of", required=True
    )
    absl_flags.DEFINE_string("out", None, "folder of the results", required=True)
    absl_flags.DEFINE_integer("split", 1, "split of the dataset", lower_bound=1)
    absl_flags.DEFINE_string(
        "cache", "", "folder of descriptors; empty: `trajectories` beside --out"
    )
    absl_flags.DEFINE_integer(
        "workers", 0, "processes; 0: as many as there are cores", lower_bound=0
    )
    absl_flags.DEFINE_bool("json", False, "print metrics.json, values 0..1")
    for settings in (ExtractionConfig, EncodingConfig, DecodingConfig):
        flags.define(settings)


def main(_: Sequence[str]) -> None:
    """Score and print the accuracies."""
    from stfn_keras.trajectories.scoring import score_split

    values = absl_flags.FLAGS
    out = Path(values.out)
    found = score_split(
        Path(values.data),
        Path(values.videos),
        out,
        values.split,
        flags.read(ExtractionConfig),
        flags.read(EncodingConfig),
        Path(values.cache) if values.cache else None,
        cores(values.workers),
        flags.read(DecodingConfig),
    )
    lost = len((out / "ledger.csv").read_text(encoding="utf-8").splitlines()) - 1
    if lost:
        print(
            f"{lost} training videos cannot be used: {out / 'ledger.csv'} names them",
            file=sys.stderr,
        )
    if values.json:
        print(json.dumps(found))
        return
    print(f"videos               {found['videos']}")
    for name in FIGURES:
        ends = found[f"{name}_low"], found[f"{name}_high"]
        print(
            f"{name:<21}{100 * found[name]:6.2f} %   "
            f"(95 %: {100 * ends[0]:.1f} to {100 * ends[1]:.1f})"
        )
    print(out / "report" / "index.html")


def run() -> None:
    """Entry point of the command."""
    define_flags()
    flags.run(main)
