"""OpenVINO's format from an exported SavedModel, by its own TensorFlow reader."""

from pathlib import Path

from stfn_keras.errors import UserError


def convert(folder: Path, path: Path) -> None:
    """Write `path`, an `.xml` file, and its `.bin` beside it, weights in float32.

    The core reads the SavedModel: no TensorFlow runs, and the converter's command,
    which reports its use over the network, is not involved.

    Args:
        folder: Holds the SavedModel.
        path: The `.xml` file.

    Raises:
        UserError: OpenVINO has no translation of an operator.
    """
    import openvino

    try:
        model = openvino.Core().read_model(str(folder))
        openvino.save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:
        raise UserError(
            f"OpenVINO must be able to read the network. It says: {_reason(error)}"
        ) from error


def _reason(error: RuntimeError) -> str:
    """What OpenVINO says, in one line and without the places in its own source."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [
        line for line in lines if line and not line.startswith(("Exception", "src/"))
    ]
    return " ".join(said)[:500]
