"""Print one SHA-256 of a run's weights: `python -m stfn_keras.training.digest RUN`.

Two runs with the same weights have the same digest, whatever else their files hold, on
any machine and backend. No TensorFlow is loaded.
"""

from collections.abc import Sequence
from pathlib import Path

from stfn_keras import flags
from stfn_keras.errors import UserError


def main(arguments: Sequence[str]) -> None:
    """Print the digest alone, for scripts that compare."""
    if len(arguments) != 2:
        raise UserError(
            "expected one run directory: python -m stfn_keras.training.digest RUN. "
            f"Received: {' '.join(arguments[1:]) or 'none'}"
        )
    from stfn_keras.training.finished import canonical_digest
    from stfn_keras.training.run import Run

    print(canonical_digest(Run.open(Path(arguments[1]))))


def run() -> None:
    """Entry point of the command."""
    flags.run(main, positional=True)
