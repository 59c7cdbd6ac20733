"""Train and score every row of a grid on finished towers, several seeds each.

table = ablate(grid, [Towers.open(run)], model, training, OUT, seeds=3)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.errors import UserError
from stfn_keras.experiments import network
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.network import Recipe
from stfn_keras.experiments.result import Result
from stfn_keras.experiments.settings import changed
from stfn_keras.experiments.table import Table, make_table, write_table
from stfn_keras.experiments.towers import Towers
from stfn_keras.experiments.views import check_views


def ablate(
    grid: Grid,
    towers: Sequence[Towers],
    model: ModelConfig,
    training: TrainingConfig,
    out: Path,
    *,
    seeds: int,
    views: str = "1x1",
    say: Callable[[str], None] = print,
) -> Table:
    """Train and score what is not there yet, and write the table.

    Args:
        grid: Rows; their settings take precedence over its base, its base over the
            network's and the training's.
        towers: The towers of each split.
        model: The network that the rows change.
        training: Its training; seeds are counted from its own.
        out: Results are kept below `out/rows`, whoever asks for them; the table is
            written to `out` after each row.
        seeds: Networks trained per row and split; one where nothing is trained.
        views: SxC of the fusion networks; see `Recipe`.
        say: Told what has been done, a line each.

    Raises:
        UserError: A row's settings do not fit; nothing was trained then.
    """
    plan = _plan(grid, towers, model, training, seeds, views)
    found: dict[str, dict[tuple[int, int], Result]] = {}
    table: Table | None = None
    for row, recipes in plan:
        found[row.name] = {}
        for split, recipe in recipes:
            was_there = network.kept(recipe, split, out / "rows")
            result = was_there or network.scored(recipe, split, out / "rows")
            found[row.name][split.split, recipe.seed] = result
            top1 = 100 * result.right(row.shuffle).mean()
            took = "kept" if was_there else f"{result.seconds:.0f} s"
            say(f"{row.name}, split {split.split}, seed {recipe.seed}: "
                f"top-1 {top1:.1f} % ({took})")  # fmt: skip
        table = make_table(grid, found)
        write_table(table, out)
    if table is None:
        raise UserError("the grid has no rows: expected one or more")
    return table


def _plan(
    grid: Grid,
    towers: Sequence[Towers],
    model: ModelConfig,
    training: TrainingConfig,
    seeds: int,
    views: str,
) -> list[tuple[Row, list[tuple[Towers, Recipe]]]]:
    """What each row needs, after every row has been checked."""
    model, training = changed(model, training, grid.base, "base")
    plan = []
    for row in grid.rows:
        where = f"row {row.name!r}"
        of_row = changed(model, training, row.settings, where)
        count = 1 if of_row[0].is_consensus else seeds
        recipes = [
            (one, Recipe(*of_row, seed, views))
            for one in towers
            for seed in range(training.seed, training.seed + count)
        ]
        for one, recipe in recipes:
            if unknown := sorted(set(row.classes) - set(one.manifest.labels)):
                raise UserError(
                    f"{where}: classes must be those of the data, "
                    f"{', '.join(one.manifest.labels)}. Received: {unknown[0]!r}"
                )
            try:
                network.check(recipe, one)
                check_views(recipe.model, views, one.manifest)
            except UserError as error:
                raise UserError(f"{where}: {error}") from error
        plan.append((row, recipes))
    return plan


def check_splits(towers: Sequence[Towers]) -> None:
    """Refuse towers that do not make one experiment.

    Raises:
        UserError: Two are of the same split, or of different data.
    """
    splits = [one.split for one in towers]
    if len(set(splits)) < len(splits):
        raise UserError(
            "--towers_from must name a run for each split. Received splits: "
            f"{', '.join(map(str, splits))}"
        )
    for one in towers:
        if one.manifest.digest != towers[0].manifest.digest:
            raise UserError(
                f"the runs of --towers_from must be of the same data: {one.run.folder} "
                f"is of others than {towers[0].run.folder}"
            )
