"""The poster's rows: `python -m stfn_keras.commands.poster_table --run RUN`."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands.quiet import import_keras_quietly
from stfn_keras.data.remote import CacheConfig


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("run", None, "run directory", required=True)
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    absl_flags.DEFINE_integer("seeds", 3, "fusion networks per row", lower_bound=1)
    absl_flags.DEFINE_string(
        "views", "1x1", "SxC of the fusion networks; other rows see as many snippets"
    )


def main(_: Sequence[str]) -> None:
    """Print the table and where it is."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.evaluation.poster_table import as_markdown, poster_table
    from stfn_keras.training.run import Run

    values = absl_flags.FLAGS
    run = Run.open(Path(values.run))
    data = open_data(values.data or run.data, flags.read(CacheConfig))
    table = poster_table(run, values.seeds, values.views, data)
    print(as_markdown(table))
    print(
        f"{table['videos'].iloc[0]} test videos, mean +- standard deviation over "
        f"{values.seeds} seeds of the fusion; {run.folder / 'table' / 'table.csv'}"
    )


if __name__ == "__main__":
    define_flags()
    flags.run(main)
