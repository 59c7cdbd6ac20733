"""Systems side by side: `python -m stfn_keras.commands.systems NAME=RUN NAME=RUN ...`.

Each RUN is a finished and evaluated run of one split, or a score file of the same
videos, such as those of iDT. --fused_with names scores that each is averaged with.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.evaluation.fusion import ON
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("out", None, "folder of the results", required=True)
    absl_flags.DEFINE_string(
        "fused_with", "", "NAME=RUN: scores that each is averaged with"
    )
    absl_flags.DEFINE_enum(
        "on", "l2", list(ON),
        "what of the scores is averaged with --fused_with, as in evaluate.py fuse",
    )  # fmt: skip
    absl_flags.DEFINE_bool("time", True, "measure the milliseconds of a video")


def main(argv: Sequence[str]) -> None:
    """Print the table and where it is."""
    systems = read_systems(argv[1:])
    values = absl_flags.FLAGS
    name, scores = _named(values.fused_with) if values.fused_with else ("", "")
    import_keras_quietly()
    from stfn_keras.experiments.systems import (
        as_markdown,
        compare_systems,
        write_systems,
    )

    table = compare_systems(systems, scores, values.on, values.time)
    out = Path(values.out)
    write_systems(table, out, name)
    print(f"\n{as_markdown(table, name)}\n\n{out / 'systems.csv'}")


def read_systems(texts: Sequence[str]) -> dict[str, str]:
    """What was named, by its name.

    Args:
        texts: NAME=RUN of each.

    Raises:
        UserError: There is none, one has no name, or two have the same.
    """
    systems: dict[str, str] = {}
    for name, path in map(_named, texts):
        if name in systems:
            raise UserError(
                f"expected a name of its own for each system. Received: {name} of "
                f"{systems[name]} and of {path}: call one of them otherwise"
            )
        systems[name] = path
    if not systems:
        raise UserError(
            "expected systems with a name each: STFN=runs/stfn TSN=runs/tsn. "
            "Received: none"
        )
    return systems


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UserError(f"expected NAME=RUN, such as STFN=runs/stfn. Received: {text}")
    return name, path


if __name__ == "__main__":
    define_flags()
    flags.run(main, positional=True)
