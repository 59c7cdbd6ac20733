"""What an exported model can be published as: its files, and what runs each of them.

    FORMATS["onnx"].path(version)        # models/NAME/1/formats/model.onnx
    require("onnx")                      # UserError where ONNX Runtime is not installed

Exporting writes these files (`stfn_keras.exporting.formats`), and
`stfn_keras.serving.runtimes` runs them.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stfn_keras.errors import UserError

FOLDER = "formats"  # within a version; TF Serving ignores it


@dataclass(frozen=True)
class Format:
    """One form of an exported model.

    Attributes:
        name: As in flags, `config.json` and `parity.json`.
        files: Relative to the version's folder, the one to open first.
        runtime: The class that runs it, as `module:name`; it is constructed with the
            file to open, this format's name and how many threads to compute with
            (None: the library's choice).
        tolerance: How far softmax scores may be from the evaluation's; wide in
            reduced precision, where it refuses gross faults and accuracy judges.
        reduced: Whether it computes with less than float32, so that its accuracy is
            compared too.
        calibrated: Whether converting needs real training snippets.
        extra: The extra of this package that it needs, if any.
        modules: What that extra must make importable.
    """

    name: str
    files: tuple[str, ...]
    runtime: str
    tolerance: float
    reduced: bool = False
    calibrated: bool = False
    extra: str = ""
    modules: tuple[str, ...] = ()

    def path(self, folder: Path) -> Path:
        """The file to open, in a version's folder."""
        return folder / self.files[0]

    def size(self, folder: Path) -> int:
        """Bytes of its files in a version's folder."""
        return sum((folder / file).stat().st_size for file in self.files)


def _litert(kind: str, tolerance: float, **options: bool) -> Format:
    return Format(
        f"litert_{kind}",
        (f"{FOLDER}/litert_{kind}.tflite",),
        "stfn_keras.serving.runtimes.litert:LiteRTRuntime",
        tolerance,
        extra="litert",
        modules=("ai_edge_litert",),
        **options,
    )


FORMATS = {
    known.name: known
    for known in (
        Format(
            "saved_model",
            ("saved_model.pb",),  # and variables/, which it reads itself
            "stfn_keras.serving.runtimes.saved_model:SavedModelRuntime",
            1e-5,
        ),
        _litert("float32", 1e-4),
        _litert("float16", 5e-2, reduced=True),  # up to 0.018 on trained networks
        _litert("dynamic", 0.75, reduced=True),  # up to 0.17
        _litert("int8", 0.9, reduced=True, calibrated=True),  # up to 0.59
        Format(
            "onnx",
            (f"{FOLDER}/model.onnx",),
            "stfn_keras.serving.runtimes.onnx:ONNXRuntime",
            1e-4,
            extra="onnx",
            modules=("onnx", "onnxruntime", "tf2onnx"),
        ),
        Format(
            "openvino",
            (f"{FOLDER}/openvino/model.xml", f"{FOLDER}/openvino/model.bin"),
            "stfn_keras.serving.runtimes.openvino:OpenVINORuntime",
            1e-4,
            extra="openvino",
            modules=("openvino",),
        ),
    )
}


def require(name: str, modules: tuple[str, ...] | None = None) -> None:
    """Check that a format's packages are installed.

    Args:
        name: Of the format.
        modules: Those that are needed now; None for all, as exporting needs them.

    Raises:
        UserError: One is missing.
    """
    wanted = FORMATS[name].modules if modules is None else modules
    _refuse([(name, module) for module in wanted if not _there(module)])


def require_all(names: Iterable[str]) -> None:
    """Check that the packages of several formats are installed, as exporting needs.

    Raises:
        UserError: Some are missing; names all of them.
    """
    needed = [(name, module) for name in names for module in FORMATS[name].modules]
    _refuse([(name, module) for name, module in needed if not _there(module)])


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _refuse(missing: Sequence[tuple[str, str]]) -> None:
    """Refuse missing modules, given each with the format that needs it."""
    if not missing:
        return
    formats = list(dict.fromkeys(name for name, _ in missing))
    modules = dict.fromkeys(module for _, module in missing)
    extras = dict.fromkeys(FORMATS[name].extra for name in formats)
    one = len(formats) == 1
    raise UserError(
        f"expected {', '.join(modules)} to be installed, which the "
        f"format{'' if one else 's'} {', '.join(formats)} need{'s' if one else ''}. "
        "Received: no such package: in the checkout, pip install "
        f"'.[{','.join(extras)}]'"
    )
