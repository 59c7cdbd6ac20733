"""Publish a run as one file: `python -m stfn_keras.training.publish RUN [--out FILE]`.

The archive holds the network's weights, once and without optimiser, the configuration
without paths of this machine, a digest of every member, and a model card. The same run
gives the same bytes. `evaluate.py`, `export.py` and `train.py --init_from` read it.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("out", None, "the archive; RUN/published/NAME.zip if not")
    absl_flags.DEFINE_string("license", "", "terms of the weights, for the model card")


def main(arguments: Sequence[str]) -> None:
    """Publish, then print the digest and what comes next."""
    if len(arguments) != 2:
        raise UserError(
            "expected one run directory: python -m stfn_keras.training.publish RUN. "
            f"Received: {' '.join(arguments[1:]) or 'none'}"
        )
    import_keras_quietly()
    from stfn_keras.training.publishing import publish

    values = absl_flags.FLAGS
    run = Path(arguments[1])
    found = publish(run, Path(values.out) if values.out else None, values.license)
    size = found.path.stat().st_size / 1e6
    print(f"published: {found.path} ({size:.1f} MB)\nSHA-256: {found.sha256}")
    if not found.evaluated:
        print(
            "its card says: not evaluated. For results in it: python evaluate.py --run "
            f"{run}, then publish to another --out"
        )
    print(f"next: python train.py --init_from {found.path} --reset_head --data MINE")


def run() -> None:
    """Entry point of the command."""
    define_flags()
    flags.run(main, positional=True)
