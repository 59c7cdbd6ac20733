"""Flags made from the configuration dataclasses, once, and read back from them.

flags.define(ModelConfig)
def main(_):
config = flags.read(ModelConfig)
flags.run(main)
"""

import atexit
import dataclasses
import os
import re
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import app, logging
from absl import flags as absl_flags

from stfn_keras.errors import UserError

Config = TypeVar("Config")


def define(cls: type, prefix: str = "", defaults: Any = None) -> None:
    """Define one absl flag for each field of a dataclass that has a help text.

    Args:
        cls: The dataclass; fields made by `config.option` become flags.
        prefix: Put before each flag's name, as in `--rgb_epochs`.
        defaults: An instance whose values replace the class's defaults.
    """
    instance = defaults if defaults is not None else cls()
    for item in dataclasses.fields(cls):
        if "help" not in item.metadata:
            continue
        name, value = prefix + item.name, getattr(instance, item.name)
        text, choices = item.metadata["help"], item.metadata["choices"]
        if isinstance(value, bool):
            absl_flags.DEFINE_bool(name, value, text)
        elif isinstance(value, tuple):
            absl_flags.DEFINE_list(name, [str(v) for v in value], text)
        elif isinstance(value, int):
            absl_flags.DEFINE_integer(name, value, text)
        elif isinstance(value, float):
            absl_flags.DEFINE_float(name, value, text)
        elif choices:
            absl_flags.DEFINE_enum(name, value, list(choices), text)
        else:
            absl_flags.DEFINE_string(name, value, text)


def read(cls: type[Config], prefix: str = "", defaults: Any = None) -> Config:
    """Make the dataclass from the parsed flags.

    Raises:
        UserError: A list holds something that is not of its fields' type, or the
            dataclass refuses a value.
    """
    values = {}
    instance = defaults if defaults is not None else cls()
    kinds = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        value = getattr(instance, item.name)
        if "help" in item.metadata:
            value = _parsed(prefix + item.name, kinds[item.name])
        values[item.name] = value
    return cls(**values)


def lines(config: Any, defaults: Any, prefix: str = "") -> list[str]:
    """The flags that make `config` where `defaults` are the defaults: `--name=value`.

    Args:
        config: A dataclass as `read` makes it.
        defaults: Another of its class; equal fields are left out.
        prefix: As `define` was given.
    """
    found = []
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if "help" not in item.metadata or value == getattr(defaults, item.name):
            continue
        name = prefix + item.name
        if isinstance(value, bool):
            found.append(f"--{name}" if value else f"--no{name}")
        else:
            listed = isinstance(value, tuple)
            text = ",".join(map(str, value)) if listed else str(value)
            found.append(f"--{name}={text}")
    return found


def _parsed(name: str, annotation: Any) -> Any:
    value: Any = absl_flags.FLAGS[name].value
    if typing.get_origin(annotation) is not tuple:
        return value
    kind = typing.get_args(annotation)[0]
    try:
        return tuple(kind(v) for v in value)
    except ValueError as error:
        raise UserError(
            f"--{name} must be a comma-separated list of {kind.__name__} values. "
            f"Received: {','.join(map(str, value))}"
        ) from error


def run(main: Callable[[Sequence[str]], None], positional: bool = False) -> None:
    """Parse the flags and call `main`; a UserError becomes one line and exit 1.

    Args:
        main: Called with the program's name and what is no flag.
        positional: Whether the command takes arguments that are no flags.
    """

    def guarded(argv: Sequence[str]) -> None:
        if not absl_flags.FLAGS["verbosity"].present:  # --verbosity=0 for more
            logging.set_verbosity(logging.WARNING)
        try:
            if len(argv) > 1 and not positional:
                raise UserError(
                    f"expected flags alone, such as --name=value. Received: {argv[1]!r}"
                )
            main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:
            if (absl_flags.FLAGS["verbosity"].value or 0) > 0:
                raise
            print(f"error: {error}; --verbosity=1 shows where", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("stopped; the same command continues", file=sys.stderr)
            sys.exit(130)

    # What --help begins with: the command's own text, also where a console script or
    # another command started it.
    sys.modules["__main__"].__doc__ = sys.modules[main.__module__].__doc__
    # Otherwise --help, which shows the flags of the script's own module, shows none.
    for module, defined in absl_flags.FLAGS.flags_by_module_dict().items():
        for flag in defined if not module.startswith("absl.") else ():
            absl_flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    try:
        app.run(guarded, flags_parser=_arguments)
    except SystemExit as end:
        _leave(end.code)
        raise


def _arguments(argv: Sequence[str]) -> Sequence[str]:
    """Parse the flags; a wrong one is one line and exit 1, help is exit 0.

    absl's own parser ends with 1 after --help, too.
    """
    try:
        rest: Sequence[str] = absl_flags.FLAGS(argv)
    except SystemExit:  # help was asked for, and shown
        sys.exit(0)
    except absl_flags.Error as error:
        print(f"error: {_sentence(str(error))}; --help lists the flags",
              file=sys.stderr)  # fmt: skip
        sys.exit(1)
    return rest


def _sentence(said: str) -> str:
    """What absl says of wrong flags, of a flag that must be given in our words."""
    missing = re.match(r"flag --(\w+)=None: .* must have a value", said, re.DOTALL)
    if not missing:
        return " ".join(said.rstrip(".").split())
    name = missing[1]
    return f"expected --{name}: {absl_flags.FLAGS[name].help}. Received: none"


def _leave(code: int | str | None) -> None:
    """End the process here and now if tensorflow-io was used.

    Its S3 client makes a process that touched s3:// abort (status 134) while C++ tears
    down, after all work is done.
    """
    if "tensorflow_io" not in sys.modules or isinstance(code, str):
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
