"""The poster's rows: `python -m stfn_keras.commands.poster_table --run RUN`.

`--run RUN1,RUN2,RUN3`, a run for each split, gives means over the splits.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.remote import CacheConfig
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_list(
        "run", None, "run directory, or several, one for each split", required=True
    )
    absl_flags.DEFINE_string("out", None, "where results are kept, if not RUN/table")
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
    from stfn_keras.experiments.poster_table import poster_table
    from stfn_keras.experiments.table import as_markdown, in_words
    from stfn_keras.training.run import Run

    values = absl_flags.FLAGS
    runs = [Run.open(Path(folder)) for folder in values.run]
    data = open_data(values.data or runs[0].data, flags.read(CacheConfig))
    out = Path(values.out) if values.out else runs[0].folder / "table"
    table = poster_table(runs, values.seeds, values.views, data, out)
    print(f"\n{as_markdown(table)}\n\n{in_words(table)}\n{out / 'table.png'}")


if __name__ == "__main__":
    define_flags()
    flags.run(main)
