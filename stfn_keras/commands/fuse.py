"""Fuse scores: `python evaluate.py fuse A B ... [--weights 1,1.5] [--on softmax]`.

Each of A, B, ... is a score file (scores.npz, or a CSV with the header
id,label,CLASS,CLASS,...), a run or report directory, or a folder of train.py --splits;
A1,A2,A3 are the files of three splits. Videos are matched by id.

--search finds the weights on validation videos: of runs those that `evaluate.py
--run RUN --videos=validation` scored, of files those named by --validation, once for
each of A, B, ... in their order.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.evaluation.fusion import ON


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_list("weights", [], "one each; equal weights by default")
    absl_flags.DEFINE_enum(
        "on", "logits", list(ON),
        "what is added: the scores themselves, their softmax, or the scores of a "
        "video brought to length 1",
    )  # fmt: skip
    absl_flags.DEFINE_bool("search", False, "find the weights on validation videos")
    absl_flags.DEFINE_bool(
        "svm", False, "fit a linear SVM on the stacked scores of validation videos"
    )
    absl_flags.DEFINE_multi_string(
        "validation",
        [],
        "with --search or --svm: validation scores, once for each, in order",
    )
    absl_flags.DEFINE_integer("seed", 0, "which runs of a folder with several seeds")
    absl_flags.DEFINE_string(
        "out", None, "where the fused scores go: a new .npz file, of one split"
    )
    absl_flags.DEFINE_bool("json", False, "print one flat JSON object, values 0..1")


def main(argv: Sequence[str]) -> None:
    """Print the fused accuracies, of each split and their mean."""
    from stfn_keras.evaluation.entries import Entry
    from stfn_keras.evaluation.fused import fuse_splits

    values = absl_flags.FLAGS
    if len(argv) < 2:
        raise UserError("name what is fused: evaluate.py fuse A/scores.npz B.csv ...")
    learned = _learned()
    if learned and values.weights:
        raise UserError(f"{learned} finds the weights. Received: --weights too")
    if values.svm and values["on"].present:
        raise UserError("--svm is fitted on softmax scores. Received: --on too")
    if values.validation and not learned:
        raise UserError("--validation is for --search or --svm. Received: neither")
    entries = [Entry.read(text, values.seed) for text in argv[1:]]
    found = fuse_splits(
        entries,
        values.on,
        _weights(values.weights, len(entries)),
        _validation(argv[1:]),
        values.svm,
    )
    if values.out:
        _save(found.scores, Path(values.out))
    print(json.dumps(found.flat()) if values.json else found.text())


def _weights(given: Sequence[str], entries: int) -> tuple[float, ...]:
    try:
        return tuple(float(weight) for weight in given) or (1.0,) * entries
    except ValueError as error:
        raise UserError(
            f"--weights must be numbers, such as 1,1.5. Received: {','.join(given)}"
        ) from error


def _learned() -> str:
    """The flag that fuses by validation videos; empty where none is given."""
    values = absl_flags.FLAGS
    if values.search and values.svm:
        raise UserError("expected --search or --svm. Received: both")
    return "--search" * values.search + "--svm" * values.svm


def _validation(names: Sequence[str]) -> list | None:
    """The validation scores of `--search` or `--svm`; None without them."""
    from stfn_keras.evaluation.entries import VALIDATION, Entry

    values = absl_flags.FLAGS
    if not (learned := _learned()):
        return None
    given = values.validation
    if given and len(given) != len(names):
        raise UserError(
            f"--validation must be given once for each of the {len(names)} entries "
            f"that are fused. Received: {len(given)} times"
        )
    if not given and (files := [name for name in names if not Path(name).is_dir()]):
        raise UserError(
            f"{learned} needs validation scores: {files[0]} is a file, so give "
            "--validation=FILE, once for each entry"
        )
    return [Entry.read(name, values.seed, VALIDATION) for name in given or names]


def _save(scores: Sequence, path: Path) -> None:
    if len(scores) > 1 or path.suffix != ".npz" or path.exists():
        raise UserError(
            "--out must be a new .npz file, for the scores of one split. Received: "
            f"{path}, {len(scores)} split(s)"
        )
    scores[0].save(path)


def run() -> None:
    """Entry point of the subcommand."""
    define_flags()
    flags.run(main, positional=True)
