"""Open a version of an exported model in one of its formats.

    runtime = open_runtime(Path("models/stfn/1"), "litert_int8", threads=2)

A runtime's module has a function `load(name, path, inputs, threads) -> Runtime`, where
`path` is the format's file, or the version's folder for the SavedModel.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.serving.folder import read_config
from stfn_keras.serving.runtimes.base import Runtime


@dataclass(frozen=True)
class RuntimeFormat:
    """Where a published format lies and what runs it.

    Attributes:
        module: In `stfn_keras.serving.runtimes`.
        file: Inside the version's folder; empty for the folder itself.
        package: What must be importable to run it; empty for TensorFlow.
        extra: Of this project, with which that is installed.
    """

    module: str
    file: str = ""
    package: str = ""
    extra: str = ""


def _litert(kind: str) -> RuntimeFormat:
    file = f"formats/litert_{kind}.tflite"
    return RuntimeFormat("litert", file, "ai_edge_litert", "litert")


FORMATS = {
    "saved_model": RuntimeFormat("saved_model"),
    "litert_float32": _litert("float32"),
    "litert_float16": _litert("float16"),
    "litert_dynamic": _litert("dynamic"),
    "litert_int8": _litert("int8"),
    "onnx": RuntimeFormat("onnx", "formats/model.onnx", "onnxruntime", "onnx"),
    "openvino": RuntimeFormat(
        "openvino", "formats/openvino/model.xml", "openvino", "openvino"
    ),
}
ALIASES = {"tf": "saved_model", "litert": "litert_float32"}


def format_name(name: str) -> str:
    """The full name of a format, from it or its alias.

    Raises:
        UserError: There is no such format.
    """
    name = ALIASES.get(name, name)
    if name not in FORMATS:
        raise UserError(
            f"a format must be one of {', '.join(FORMATS)} (or tf, litert). "
            f"Received: {name!r}"
        )
    return name


def require_package(name: str) -> None:
    """Refuse a format whose runtime is not installed.

    Raises:
        UserError: It is not, and how to install it.
    """
    kind = FORMATS[name]
    if kind.package and importlib.util.find_spec(kind.package) is None:
        raise UserError(
            f"the format {name} needs the package {kind.package}: "
            f"pip install 'stfn-keras[{kind.extra}]'"
        )


def open_runtime(
    folder: Path, name: str = "saved_model", threads: int | None = None
) -> Runtime:
    """Open one format of a version folder.

    Args:
        folder: `models/NAME/VERSION`.
        name: The format, or `tf` or `litert` for short.
        threads: CPU threads of the runtime; None leaves it to the runtime.

    Raises:
        UserError: The folder is no model of ours, the format was not published with
            it, or what runs it is not installed.
    """
    name = format_name(name)
    config = read_config(folder)
    published = config.get("formats", ["saved_model"])
    if name not in published:
        raise UserError(
            f"{folder} was published as {', '.join(published)}. Received: {name}; "
            f"export.py --formats={name} makes a version with it"
        )
    require_package(name)
    inputs = {s: tuple(shape) for s, shape in config.get("inputs", {}).items()}
    return load_runtime(name, folder, inputs, threads)


def load_runtime(
    name: str,
    folder: Path,
    inputs: dict[str, tuple[int, ...]],
    threads: int | None = None,
) -> Runtime:
    """Open a format of a folder that need not be published yet.

    Args:
        name: A key of `FORMATS`.
        folder: The version's folder.
        inputs: Shape of one video's view, by stream.
        threads: CPU threads of the runtime.
    """
    kind = FORMATS[name]
    module = importlib.import_module(f"stfn_keras.serving.runtimes.{kind.module}")
    path = folder / kind.file if kind.file else folder
    runtime: Runtime = module.load(name, path, inputs, threads)
    return runtime
