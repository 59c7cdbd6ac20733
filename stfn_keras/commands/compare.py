"""Compare runs: `python -m stfn_keras.evaluation.compare A B ... [--json]`.

Each is what `evaluate.py fuse` takes: a run or report directory, a score file (.npz or
.csv), a folder of train.py --splits, or one file for each split with commas. All must
score the same videos; each is tested against the first.
"""

import json
from collections.abc import Sequence

from absl import flags as absl_flags

from stfn_keras import flags


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_integer("seed", 0, "which runs of a folder with several seeds")
    absl_flags.DEFINE_bool("json", False, "print one JSON object, shares in 0..1")


def main(argv: Sequence[str]) -> None:
    """Print the table."""
    from stfn_keras.evaluation.comparison import as_json, as_markdown, compare
    from stfn_keras.evaluation.entries import Entry

    values = absl_flags.FLAGS
    found = compare([Entry.read(text, values.seed) for text in argv[1:]])
    print(json.dumps(as_json(found)) if values.json else as_markdown(found))


def run() -> None:
    """Entry point of the module."""
    define_flags()
    flags.run(main, positional=True)


if __name__ == "__main__":
    run()
