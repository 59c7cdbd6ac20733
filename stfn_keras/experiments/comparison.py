"""What each row is compared with, and what the comparison says.

    found["(3) shuffled"]  # the results of a grid's row, by split and seed
    compared(grid, found)["(3) shuffled"].against  # "(3) 2 blocks"

A row is compared with its `against`, a shuffled one by default with the same network
unshuffled, all others with the grid's reference. No network is compared with itself.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stfn_keras.evaluation import mcnemar
from stfn_keras.experiments.grid import Grid, Row
from stfn_keras.experiments.result import Result

LEVEL = 0.05  # of significance
Results = Mapping[tuple[int, int], Result]  # by split and seed


@dataclass(frozen=True)
class Comparison:
    """A row's comparison; as it is by default where there is none.

    Attributes:
        against: The row it is compared with.
        p: Of McNemar's test.
        p_holm: The same after Holm's correction for all distinct comparisons.
        verdict: In words.
    """

    against: str = ""
    p: float = math.nan
    p_holm: float = math.nan
    verdict: str = ""


def compared(grid: Grid, found: Mapping[str, Results]) -> dict[str, Comparison]:
    """The comparison of every row that has results.

    Rows of the same settings, order and classes are one comparison with the same
    other row, and count once in the correction.

    Args:
        grid: The rows.
        found: By row, results by split and seed.
    """
    rows = [row for row in grid.rows if row.name in found]
    networks = {row.name: _network(row, found[row.name]) for row in rows}
    values: dict[tuple, float] = {}
    pairs: dict[str, tuple[Row, tuple]] = {}
    for row in rows:
        other = _other(row, grid, found)
        if other is None or networks[row.name] == networks[other.name]:
            continue
        key = (networks[row.name], networks[other.name], frozenset(row.classes))
        if key not in values:
            values[key] = compare(row, found[row.name], other, found[other.name])
        pairs[row.name] = other, key
    adjusted = dict(zip(values, mcnemar.holm(list(values.values())), strict=True))
    comparisons = {row.name: Comparison() for row in rows}
    for row in rows:
        if row.name in pairs:
            other, key = pairs[row.name]
            gain = _top1(row, found[row.name]) - _top1(
                dataclasses.replace(other, classes=row.classes), found[other.name]
            )
            said = verdict(values[key], adjusted[key], gain)
            comparisons[row.name] = Comparison(
                other.name, values[key], adjusted[key], said
            )
    return comparisons


def compare(row: Row, ours: Results, other: Row, theirs: Results) -> float:
    """p-value of McNemar's test, all splits' test videos pooled, over the seeds.

    The test videos are those of the row's classes. Each seed is compared with the
    same seed of the other row, or with its first where the other has no such seed.
    Shuffled, the first order counts.
    """
    first = next(seed for _, seed in theirs)
    values = []
    for seed in dict.fromkeys(seed for _, seed in ours):
        pooled: list[tuple[np.ndarray, np.ndarray]] = []
        for split in (s for s, of in ours if of == seed):
            result = theirs.get((split, seed)) or theirs[split, first]
            mine = _in_order(row, ours[split, seed], row.shuffle)
            pooled.append((mine, _in_order(row, result, other.shuffle)))
        right, reference = (np.concatenate(part) for part in zip(*pooled, strict=True))
        values.append(mcnemar.exact(*mcnemar.discordant(right, reference)))
    return mcnemar.over_seeds(values)


def verdict(p: float, adjusted: float, gain: float) -> str:
    """What a comparison says, in words."""
    if p >= LEVEL:
        return "noise"
    way = "better" if gain > 0 else "worse"
    return way if adjusted < LEVEL else f"{way}? (chance, of so many rows)"


def kept(row: Row, result: Result) -> np.ndarray:
    """Which videos count for a row, bool (N,)."""
    labels = result.scores.classes[result.scores.label]
    if not row.classes:
        return np.ones(len(labels), bool)
    return np.isin(labels, row.classes)


def _network(row: Row, results: Results) -> str:
    """What was tested, alike for rows that share their trainings."""
    return json.dumps([row.shuffle, _settings(results)], sort_keys=True)


def _settings(results: Results) -> list:
    return [result.settings for result in results.values()]


def _other(row: Row, grid: Grid, found: Mapping[str, Results]) -> Row | None:
    """The row that a row is compared with; None if it has no results (yet)."""
    there = {other.name: other for other in grid.rows if other.name in found}
    if row.against:
        return there.get(row.against)
    for other in there.values() if row.shuffle else ():
        same = set(other.classes) == set(row.classes) and not other.shuffle
        if same and _settings(found[other.name]) == _settings(found[row.name]):
            return other
    return there.get(grid.reference)


def _in_order(row: Row, result: Result, shuffle: bool) -> np.ndarray:
    """Whether each of a row's videos is right, in the order of their ids."""
    chosen = kept(row, result)
    order = np.argsort(result.scores.video_id[chosen], kind="stable")
    return result.right(shuffle)[0, chosen][order]


def _top1(row: Row, results: Results) -> float:
    """Accuracy on the row's videos, the mean over splits and seeds."""
    of_each = [r.right(row.shuffle)[:, kept(row, r)].mean() for r in results.values()]
    return float(np.mean(of_each))
