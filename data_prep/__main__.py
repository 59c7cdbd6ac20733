"""Prepare videos: python -m data_prep --videos DIR --protocol NAME --out DIR.

Other things it does, each with a `--help` of its own:

    python -m data_prep verify DIR...    re-read a dataset and name every fault
    python -m data_prep demo-clips       render labelled clips to try things on
"""

import sys
from collections.abc import Sequence

from data_prep.plan import DatasetOptions
from stfn_keras import flags
from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError


def run() -> None:
    """Run the sub-command that the first argument names, else the preparation."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "verify":
        from data_prep import verify

        flags.run(verify.main, positional=True)
    elif command == "demo-clips":
        from data_prep import demo_clips

        del sys.argv[1]  # the rest are its own flags
        demo_clips.run()
    else:
        flags.define(DatasetOptions)
        flags.define(PreparationConfig)
        flags.run(main, positional=True)


def main(argv: Sequence[str]) -> None:
    """Prepare a dataset as the flags say.

    Raises:
        UserError: As `prepare_dataset`, or there are arguments that are no flags.
    """
    from data_prep.prepare import prepare_dataset

    if len(argv) > 1:
        raise UserError(
            f"data_prep takes flags, or one of the words verify and demo-clips. "
            f"Received: {argv[1]!r}"
        )
    options = flags.read(DatasetOptions)
    summary = prepare_dataset(options, flags.read(PreparationConfig))
    if summary.seconds:
        print(f"prepared in {summary.seconds:.0f} s: {options.out}")
    else:
        print(f"finished before with these settings, nothing to do: {options.out}")
    print(
        f"{summary.videos} videos in {summary.shards} shards "
        f"({summary.bytes / 1e6:.0f} MB), {summary.rejected} in the ledger, "
        f"{summary.absent} listed but absent"
    )


if __name__ == "__main__":
    run()
