"""Fields that become flags, and the checks that settings share."""

import dataclasses
from collections.abc import Collection
from dataclasses import field
from typing import Any

from stfn_keras.errors import UserError


def option(default: Any, help: str, choices: Collection = ()) -> Any:
    """A dataclass field whose help text and choices its flag shows."""
    return field(default=default, metadata={"help": help, "choices": choices})


def check_choices(config: Any) -> None:
    """Raise UserError where a field's value is not one of its choices."""
    for item in dataclasses.fields(config):
        choices = item.metadata.get("choices")
        values = getattr(config, item.name)
        for value in values if isinstance(values, tuple) else (values,):
            if choices and value not in choices:
                raise UserError(
                    f"--{item.name} must be one of {', '.join(map(str, choices))}. "
                    f"Received: {value!r}"
                )


def check_at_least(
    config: Any, minimum: float, *names: str, prefix: str = "--"
) -> None:
    """Raise UserError where a named field is below `minimum`.

    `prefix` stands before the name in the message: the dashes of its flag, or
    another word where one class serves several flags.
    """
    for name in names:
        value = getattr(config, name)
        if value < minimum:
            raise UserError(
                f"{prefix}{name} must be {minimum} or more. Received: {value}"
            )
