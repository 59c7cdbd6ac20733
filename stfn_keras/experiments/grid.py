"""Grids: the rows of an ablation, from a YAML file.

    reference: late fusion
    base: {network: stfn, segments: 5}
    rows:
      - {name: late fusion, group: baselines, set: {network: late_fusion}}
      - {name: 1 block, group: fusion, set: {blocks: 1}}
      - {name: 1 block shuffled, group: order, set: {blocks: 1}, shuffle: true}
      - {name: MLP, group: order, set: {blocks: 1, temporal: mlp}, against: 1 block}

`set` and `base` hold flags of train.py without their dashes; `base` is under every row
and goes before the command's flags.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stfn_keras.errors import UserError
from stfn_keras.experiments.settings import check_flag, is_of_towers


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What the table calls it; unique.
        group: The part of the table that it stands in.
        settings: Flags that differ from the base.
        shuffle: Whether the segments are shuffled at test.
        classes: The accuracy is over test videos of these alone; all if empty. The
            network still tells all classes apart.
        against: The row it is compared with. Empty: the same network unshuffled for a
            shuffled row, if the grid has it, or else the grid's reference.
    """

    name: str
    group: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    shuffle: bool = False
    classes: tuple[str, ...] = ()
    against: str = ""


@dataclass(frozen=True)
class Grid:
    """Rows, what they have in common, and the row they are compared with."""

    rows: tuple[Row, ...]
    base: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""  # a row's name; empty: compared with none

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(
                f"a grid's rows must have distinct names. Received twice: {twice[0]!r}"
            )
        if self.reference and self.reference not in names:
            raise UserError(
                "a grid's reference must be the name of one of its rows. Received: "
                f"{self.reference!r}"
            )
        for row in self.rows:
            if row.against and row.against not in names:
                raise UserError(
                    f"row {row.name!r}: against must be the name of a row of the grid. "
                    f"Received: {row.against!r}"
                )
        for values, where in (
            (self.base, "base"),
            *((row.settings, f"row {row.name!r}") for row in self.rows),
        ):
            for flag in values:
                check_flag(flag, where)
                if is_of_towers(flag):
                    raise UserError(
                        f"{where} sets {flag}, which the towers have already settled: "
                        "an ablation changes what comes after them"
                    )


def read_grid(path: Path) -> Grid:
    """Read a grid.

    Raises:
        UserError: The file is no YAML, or a key, a type or a flag is wrong; names
            the row.
    """
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"expected a grid in YAML: {path}: {reason}") from error
    known: dict[str, type] = {"base": dict, "reference": str, "rows": list}
    top = _checked(read, known, f"the grid {path}", ("rows",))
    return Grid(
        tuple(_row(value, n) for n, value in enumerate(top["rows"], 1)),
        top.get("base", {}),
        top.get("reference", ""),
    )


def _row(value: Any, number: int) -> Row:
    named = isinstance(value, dict) and isinstance(value.get("name"), str)
    where = f"row {value['name']!r}" if named else f"row {number}"
    known = {"name": str, "group": str, "set": dict, "shuffle": bool, "classes": list,
             "against": str}  # fmt: skip
    read = _checked(value, known, where, ("name",))
    return Row(
        read["name"],
        read.get("group", ""),
        read.get("set", {}),
        read.get("shuffle", False),
        tuple(map(str, read.get("classes", ()))),
        read.get("against", ""),
    )


def _checked(
    value: Any, known: dict[str, type], where: str, needed: tuple[str, ...]
) -> dict[str, Any]:
    """The mapping, if it has only known keys of the right types, and those needed."""
    words = ", ".join(known)
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a mapping of {words}. Received: {value!r}")
    for key, item in value.items():
        if key not in known:
            raise UserError(f"{where} may hold {words}. Received: {key!r}")
        if not isinstance(item, known[key]):
            raise UserError(
                f"{where}: {key} must be of type {known[key].__name__}. "
                f"Received: {item!r}"
            )
    for key in needed:
        if not value.get(key):
            raise UserError(f"{where} must have a {key}. Received: {value!r}")
    return value
