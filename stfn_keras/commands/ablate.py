"""Train and score every row of a grid on the same towers, several seeds each.

python -m stfn_keras.experiments.ablate --grid recipes/ablation.yaml --out OUT \
    --data DATA --towers_from RUN[,RUN ...]   (a finished run for each split)
python -m stfn_keras.experiments.ablate --grid recipes/ablation.yaml --out OUT \
    --data DATA --splits 1,2,3 --flagfile RECIPE   (trains the towers first)

A row's own settings come first, then the grid's base, then the flags given here, also
those of a --flagfile, then those of the first run of --towers_from. --stages has no
meaning here. The same command continues what was stopped.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands.train import define_settings, read_training
from stfn_keras.config import ModelConfig
from stfn_keras.config.experiment import RepeatConfig
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly

REPEATED = RepeatConfig(splits=(1,), seeds=3, views="1x1")


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "data", None, "dataset directory or its address; default: that of the towers"
    )
    absl_flags.DEFINE_string("out", None, "where results are kept", required=True)
    absl_flags.DEFINE_string("grid", None, "the rows, in YAML", required=True)
    absl_flags.DEFINE_list(
        "towers_from", [], "runs whose finished towers are taken, one for each split"
    )
    flags.define(RepeatConfig, defaults=REPEATED)
    define_settings()


def main(_: Sequence[str]) -> None:
    """Print the table, what it says, and where it is."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.experiments import settings
    from stfn_keras.experiments.ablation import ablate, check_splits
    from stfn_keras.experiments.grid import read_grid
    from stfn_keras.experiments.table import as_markdown, in_words
    from stfn_keras.experiments.towers import Towers, train_towers
    from stfn_keras.training.run import Run

    values = absl_flags.FLAGS
    out, verify = Path(values.out), flags.read(VerifyConfig)
    repeated = flags.read(RepeatConfig, defaults=REPEATED)
    grid = read_grid(Path(values.grid))
    if values["split"].present:
        raise UserError("expected --splits. Received: --split")
    given = {n: values[n].value for n in settings.PLACES if values[n].present}
    runs = [Run.open(Path(folder)) for folder in values.towers_from]
    if not runs and not values.data:
        raise UserError("expected --towers_from, or --data to train the towers on")
    data = open_data(values.data or runs[0].data, flags.read(CacheConfig))
    model, training = flags.read(ModelConfig), read_training()
    if runs and values["splits"].present:
        raise UserError("--splits are those of --towers_from's runs: give one of both")
    if runs:
        model, training = settings.changed(
            runs[0].model, runs[0].training, {**given, "seed": training.seed}, "flags"
        )
    else:
        runs = train_towers(data, out, model, training, repeated.splits, verify)
    towers = [Towers.open(run, data, verify) for run in runs]
    check_splits(towers)
    table = ablate(
        grid, towers, model, training, out, seeds=repeated.seeds, views=repeated.views
    )
    print(f"\n{as_markdown(table)}\n\n{in_words(table)}\n{out / 'table.png'}")


def run() -> None:
    """Entry point of the module."""
    define_flags()
    flags.run(main)


if __name__ == "__main__":
    run()
