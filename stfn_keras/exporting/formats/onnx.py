"""ONNX from an exported SavedModel, by tf2onnx (which Keras' own export calls too)."""

from pathlib import Path

import tensorflow as tf

OPSET = (
    18  # the newest that tf2onnx writes; TensorRT, OpenVINO and ONNX Runtime read it
)
BATCH = "batch"


def convert(folder: Path, path: Path) -> None:
    """Write an ONNX file: any batch, fixed T, checked with its shapes inferred.

    Args:
        folder: Holds the SavedModel.
        path: The `.onnx` file.

    Raises:
        UserError: ONNX has no such operator.
    """
    import onnx
    import tf2onnx

    loaded = tf.saved_model.load(str(folder))  # holds the variables
    signature = loaded.signatures["serving_default"]
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=stream)
        for stream, spec in signature.structured_input_signature[1].items()
    ]

    @tf.function(input_signature=specs)
    def call(*views: tf.Tensor) -> dict[str, tf.Tensor]:
        names = (spec.name for spec in specs)
        found: dict[str, tf.Tensor] = signature(**dict(zip(names, views, strict=True)))
        return found

    model, _ = tf2onnx.convert.from_function(call, specs, opset=OPSET)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)
