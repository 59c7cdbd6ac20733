"""Where a TensorRT engine may be written, and the ONNX file it is built from.

check(Path("stfn.engine"), Path("stfn.fp16.onnx"))
onnx.save(marked(model), "stfn.fp16.onnx")  # ours: a later build writes it anew
"""

from pathlib import Path
from typing import Any

from stfn_keras.errors import UserError
from stfn_keras.serving.folder import CONFIG, EXTRA, is_version
from stfn_keras.serving.runtimes.tensorrt import SUFFIX

_PRODUCER = "stfn-keras for TensorRT"


def marked(model: Any) -> Any:
    """An ONNX model that says that it is ours to replace; the same object."""
    model.producer_name = _PRODUCER
    return model


def check(engine: Path, prepared: Path) -> None:
    """Refuse to write where something else is, or would not be found.

    Args:
        engine: To be written.
        prepared: The ONNX file beside it, likewise.

    Raises:
        UserError: The engine's name has another suffix than runtimes know; a model that
            was exported lies there, which never changes; or one of the files exists and
            is none that an earlier build prepared.
    """
    if engine.suffix != SUFFIX:
        raise UserError(f"--out must be named NAME{SUFFIX}. Received: {engine}")
    for folder in engine.resolve().parents:
        if _is_published(folder) or any(map(_is_published, _versions(folder))):
            raise UserError(
                f"--out must lie outside of exported models, which never change. "
                f"Received: {engine}, inside of {folder}"
            )
    if engine.exists():
        raise UserError(
            f"--out must be a new file: {engine} exists; remove it or name another"
        )
    if prepared.exists() and not _is_ours(prepared):
        raise UserError(
            f"--out={engine} would write over {prepared}, which no build of an engine "
            "wrote: name another; nothing was changed"
        )


def _is_published(folder: Path) -> bool:
    return (folder / EXTRA / CONFIG).is_file()


def _versions(folder: Path) -> list[Path]:
    """Folders that have the name of a version."""
    if not folder.is_dir():
        return []
    return [entry for entry in folder.iterdir() if is_version(entry.name)]


def _is_ours(path: Path) -> bool:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError):
        return False
    return bool(model.producer_name == _PRODUCER)
