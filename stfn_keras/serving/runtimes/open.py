"""Open a version of an exported model in one of its formats.

runtime = open_runtime(Path("models/stfn/1"), "litert_int8", threads=2)
"""

import importlib
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.files import read_json
from stfn_keras.serving.folder import EXTRA, read_config
from stfn_keras.serving.formats import FORMATS
from stfn_keras.serving.runtimes.base import Runtime
from stfn_keras.serving.runtimes.tensorrt import SUFFIX, TensorRTRuntime

ALIASES = {"tf": "saved_model", "litert": "litert_float32"}


def format_name(name: str) -> str:
    """The full name of a format, from it or its alias.

    Raises:
        UserError: There is no such format.
    """
    full = ALIASES.get(name, name)
    if full not in FORMATS:
        raise UserError(
            f"a format must be one of {', '.join(FORMATS)} (or {', '.join(ALIASES)} "
            f"for short). Received: {name!r}"
        )
    return full


def is_engine(name: str) -> bool:
    """Whether a runtime's name is the path of a TensorRT engine."""
    return name.endswith(SUFFIX)


def open_runtime(
    folder: Path, name: str = "saved_model", threads: int | None = None
) -> Runtime:
    """Open one format of a version of a model.

    Args:
        folder: `models/NAME/VERSION`.
        name: The format, or `tf` or `litert` for short; or the path of an engine that
            was built from it for this machine's card, such as `stfn.engine`.
        threads: CPU threads to compute with; None is the runtime's own choice.

    Raises:
        UserError: The folder is no model of ours, the format was not published with
            it, or what runs it is not installed.
    """
    if is_engine(name):
        read_config(folder)
        return TensorRTRuntime(Path(name))
    name = format_name(name)
    published = read_config(folder).get("formats", ["saved_model"])
    if name not in published:
        reason = _refused(folder, name)
        raise UserError(
            f"{folder} was published as {', '.join(published)}. Received: {name}"
            + (
                f", which its export refused: {reason}"
                if reason
                else f"; export.py --formats={name} makes a version that has it"
            )
        )
    return load_runtime(folder, name, threads)


def _refused(folder: Path, name: str) -> str:
    """Why a version's export refused a format; empty where it was not wanted."""
    path = folder / EXTRA / "parity.json"
    parity = read_json(path, "an export's comparison") if path.is_file() else {}
    return str(parity.get(name, {}).get("reason", ""))


def load_runtime(folder: Path, name: str, threads: int | None = None) -> Runtime:
    """Open a format that need not be published yet; otherwise as `open_runtime`."""
    module, _, kind = FORMATS[name].runtime.partition(":")
    made: Runtime = getattr(importlib.import_module(module), kind)(
        FORMATS[name].path(folder), name, threads
    )
    return made
