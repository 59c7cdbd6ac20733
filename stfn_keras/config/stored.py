"""Settings back from the JSON that runs and exported models keep them in.

model = from_dict(ModelConfig, config["model"])
"""

import dataclasses
import typing
from typing import Any, TypeVar

from stfn_keras.config.model import ModelConfig
from stfn_keras.errors import UserError

Config = TypeVar("Config")


def from_dict(cls: type[Config], values: dict[str, Any]) -> Config:
    """Rebuild a frozen dataclass from the JSON of `dataclasses.asdict`.

    A field that an older version did not write takes its default, which is what that
    version did.

    Raises:
        UserError: A field is unknown (a newer version wrote it).
    """
    values = _as_named_now(cls, values)
    names = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - names):
        raise UserError(
            f"the stored {cls.__name__} was written by a newer version: it has "
            f"{', '.join(unknown)} besides"
        )
    kinds = typing.get_type_hints(cls)
    made = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(kinds[name]):
            value = from_dict(kinds[name], value)
        elif isinstance(value, list):
            value = tuple(value)
        made[name] = value
    return cls(**made)


def _as_named_now(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Give a field that an older version wrote its name of now."""
    if cls is not ModelConfig or "motion_gate" not in values:
        return values
    gated = {"feature_motion": "gate"} if values["motion_gate"] else {}
    return {k: v for k, v in values.items() if k != "motion_gate"} | gated
