"""Settings by the names of their flags, as a grid or a command line gives them.

model, training = changed(model, training, {"blocks": 1, "fusion_rate": 1e-3}, "row x")
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from stfn_keras.config import (
    ModelConfig,
    PixelStageConfig,
    StageConfig,
    TowerStageConfig,
    TrainingConfig,
)
from stfn_keras.errors import UserError
from stfn_keras.training.checks import SHARED_MODEL

# Prefix of a stage's flags: its field of TrainingConfig, and its class.
STAGES = {
    "rgb_": ("rgb", TowerStageConfig),
    "flow_": ("flow_stage", TowerStageConfig),
    "fusion_": ("fusion", StageConfig),
    "end_to_end_": ("end_to_end", PixelStageConfig),
}


def _places() -> dict[str, tuple[str, type, str]]:
    """By flag: its owner (model, training or a stage's field), class and field."""
    owners: list[tuple[str, str, type]] = [
        ("", "model", ModelConfig),
        ("", "training", TrainingConfig),
        *((prefix, owner, cls) for prefix, (owner, cls) in STAGES.items()),
    ]
    return {
        prefix + item.name: (owner, cls, item.name)
        for prefix, owner, cls in owners
        for item in dataclasses.fields(cls)
        if "help" in item.metadata
    }


PLACES = _places()


# What of the training's settings the towers have settled, or the place of a result.
SETTLED = (
    "split", "stages", "seed", "flow", "rgb_weights", "flow_weights", "flow_init",
    "reset_head",
)  # fmt: skip


def is_of_towers(flag: str) -> bool:
    """Whether a flag decides the towers or which run it is, not the fusion alone."""
    owner, _, _ = PLACES[flag]
    return owner not in ("model", "training", "fusion") or flag in (
        *SHARED_MODEL, *SETTLED, "frames", "folds", "fold",
    )  # fmt: skip


def check_flag(flag: str, where: str) -> None:
    """Refuse a name that is no flag of train.py's networks and stages.

    Raises:
        UserError: It is none; names the nearest one.
    """
    if flag not in PLACES:
        near = difflib.get_close_matches(str(flag), PLACES, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(
            f"{where}: expected the name of a flag of train.py without its dashes. "
            f"Received: {flag!r}.{hint}"
        )


def changed(
    model: ModelConfig, training: TrainingConfig, values: Mapping[str, Any], where: str
) -> tuple[ModelConfig, TrainingConfig]:
    """Change settings.

    Args:
        model: The network.
        training: Its training.
        values: By the flag's name without its dashes; text is read as its flag would.
        where: What the message of an error begins with.

    Raises:
        UserError: A name is unknown, or a value is not of its field's type or is
            refused.
    """
    by_owner: dict[str, dict[str, Any]] = {}
    for flag, value in values.items():
        check_flag(flag, where)
        owner, cls, name = PLACES[flag]
        kind = typing.get_type_hints(cls)[name]
        by_owner.setdefault(owner, {})[name] = _typed(value, kind, f"{where}: {flag}")
    own, top = by_owner.pop("model", {}), by_owner.pop("training", {})
    try:
        stages = {
            owner: dataclasses.replace(getattr(training, owner), **fields)
            for owner, fields in by_owner.items()
        }
        return (
            dataclasses.replace(model, **own),
            dataclasses.replace(training, **top, **stages),
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _typed(value: Any, kind: Any, what: str) -> Any:
    if typing.get_origin(kind) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, list | tuple) else [items]
        return tuple(
            _typed(v, typing.get_args(kind)[0], what) for v in items if v != ""
        )
    if kind in (int, float) and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return kind(value)
        except ValueError:
            pass
    right = isinstance(value, bool) == (kind is bool)
    if kind is float and right and isinstance(value, int):
        return float(value)
    if not (right and isinstance(value, kind)):
        raise UserError(f"{what} must be of type {kind.__name__}. Received: {value!r}")
    return value
