"""From an exported SavedModel to the other formats.

    convert("litert_float32", version, version)  # version/formats/litert_float32.tflite

Every converter reads the SavedModel's `serving_default`: uint8 views in, `scores` and
`logits` in float32 out. None of them knows of the Keras model.
"""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from stfn_keras.serving.formats import FORMATS, Format, require

__all__ = ["CONVERTED", "FORMATS", "Calibration", "Format", "convert", "require"]

# Snippets of training videos: uint8 (1, T, H, W, C) by stream.
Calibration = Iterable[Mapping[str, np.ndarray]]

_CONVERTERS = {
    "litert_float32": "litert",
    "litert_float16": "litert",
    "litert_dynamic": "litert",
    "litert_int8": "litert",
    "onnx": "onnx",
    "openvino": "openvino",
}
CONVERTED = tuple(_CONVERTERS)  # all but the SavedModel


def convert(
    name: str, folder: Path, out_dir: Path, calibration: Calibration | None = None
) -> Path:
    """Convert an exported SavedModel.

    Args:
        name: Of the format, one of `CONVERTED`.
        folder: Holds the SavedModel: a version, finished or not.
        out_dir: Where the format's files go, laid out as in a version's folder.
        calibration: Needed where `FORMATS[name].calibrated`; read once.

    Returns:
        The file to open, in `out_dir`.

    Raises:
        UserError: A package is missing, or the network holds an operator that the
            format does not have, which the message names.
    """
    require(name)
    module = importlib.import_module(f"{__name__}.{_CONVERTERS[name]}")
    path = FORMATS[name].path(out_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    if _CONVERTERS[name] == "litert":
        module.convert(folder, path, name.removeprefix("litert_"), calibration)
    else:
        module.convert(folder, path)
    return path
