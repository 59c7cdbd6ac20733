"""The poster's rows on finished towers: single streams, late fusion, 0-2 blocks.

table = poster_table([Run.open(folder)], seeds=3)
print(as_markdown(table))

It is an ablation with six rows that are always the same, so everything else is as in
the first run: segments, width, the fusion's recipe. Its `--modalities` and their
weights alone are left out.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from stfn_keras.experiments.ablation import ablate, check_splits
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.table import Table
from stfn_keras.experiments.towers import Towers
from stfn_keras.training.run import Run

BASELINES, FUSION = "Baselines (no STFB)", "Fusion"
POSTER = Grid(
    rows=(
        Row("spatial", BASELINES, {"network": "spatial"}),
        Row("temporal", BASELINES, {"network": "temporal"}),
        Row("late fusion", BASELINES, {"network": "late_fusion"}),
        Row("(1) feature fusion", FUSION, {"network": "feature_fusion"}),
        Row("(2) 1 block", FUSION, {"network": "stfn", "blocks": 1}),
        Row("(3) 2 blocks", FUSION, {"network": "stfn", "blocks": 2}),
    ),
    reference="late fusion",
    # Its networks have their own streams, one or two.
    base={"modalities": (), "modality_weights": ()},
)


def poster_table(
    runs: Sequence[Run],
    seeds: int,
    views: str = "1x1",
    data: Path | None = None,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> Table:
    """Train and score every row.

    Args:
        runs: A run with finished towers for each split.
        seeds: Fusion networks per row and split, with seeds 0, 1, ...
        views: `SxC` of the fusion networks; the other rows see as many snippets,
            S x T of them.
        data: Where the data lie now, if moved.
        out: Where results and table are kept; `table/` of the first run by default.
        say: Told what has been done, a line each.

    Returns:
        The table; `OUT/table.csv` holds the same.

    Raises:
        UserError: A run's towers are not finished, or two are of the same split.
    """
    towers = [Towers.open(run, data) for run in runs]
    check_splits(towers)
    first = runs[0]
    training = dataclasses.replace(first.training, seed=0)
    out = out or first.folder / "table"
    return ablate(
        POSTER, towers, first.model, training, out, seeds=seeds, views=views, say=say
    )
