"""Prepare videos: python -m data_prep --videos DIR --protocol NAME --out DIR.

Other things it does, each with a `--help` of its own:

    python -m data_prep fetch NAME       download and unpack UCF101 or HMDB51
    python -m data_prep verify DIR...    re-read a dataset and name every fault
    python -m data_prep repair DIR       make faulty shards again, as they were
    python -m data_prep inspect DIR      what a dataset holds, in figures and pictures
    python -m data_prep flow-bench       cost and error of the flow presets
    python -m data_prep demo-clips       render labelled clips to try things on
"""

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from data_prep.jobs.isolated import ProcessLimits
from data_prep.plan import Configs, DatasetOptions
from stfn_keras import flags
from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.video.limits import DecodingConfig

# The module of each word; its `run` defines its flags and runs it.
COMMANDS = {
    "fetch": "fetching.fetch",
    "verify": "checking.verify",
    "repair": "repair",
    "inspect": "checking.look",
    "flow-bench": "bench.flow_bench",
    "demo-clips": "demo.demo_clips",
}
SETTINGS = (DatasetOptions, PreparationConfig, DecodingConfig, ProcessLimits)


def run() -> None:
    """Run the sub-command that the first argument names, else the preparation."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in COMMANDS:
        del sys.argv[1]  # the rest are its own flags
        importlib.import_module(f"data_prep.{COMMANDS[word]}").run()
        return
    for settings in SETTINGS:
        flags.define(settings)
    signal.signal(signal.SIGTERM, _stop)
    flags.run(main, positional=True)


def main(argv: Sequence[str]) -> None:
    """Prepare a dataset as the flags say.

    Raises:
        UserError: As `prepare_dataset`; there are arguments that are no flags; or
            more videos are lost than --max_bad_fraction allows.
    """
    from data_prep.prepare import prepare_dataset

    options = flags.read(DatasetOptions)
    if len(argv) > 1 and options.engine != "beam":
        raise UserError(
            f"data_prep takes flags, or one of the words {', '.join(COMMANDS)}. "
            f"Received: {argv[1]!r}"
        )
    configs = Configs(
        flags.read(PreparationConfig),
        flags.read(DecodingConfig),
        flags.read(ProcessLimits),
    )
    summary = prepare_dataset(options, configs, beam_options=argv[1:])
    if options.dry_run:
        return
    if summary.seconds:
        print(f"prepared in {summary.seconds:.0f} s: {options.out}")
    else:
        print(f"finished before with these settings, nothing to do: {options.out}")
    print(summary.text())
    allowed = options.allowed_bad_fraction
    if summary.bad > allowed * (summary.videos + summary.bad):
        raise UserError(
            f"{summary.bad} of {summary.videos + summary.bad} videos cannot be used, "
            f"more than --max_bad_fraction={allowed:g} allows: "
            f"{options.out}/ledger.csv names them; the dataset holds all the others"
        )


def _stop(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C: what is finished stays, and children are ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    run()
