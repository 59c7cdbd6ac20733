"""ONNX from an exported SavedModel, by tf2onnx (which Keras' own export calls too)."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.errors import UserError

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

    model, _ = tf2onnx.convert.from_function(
        call, specs, opset=OPSET, custom_op_handlers=_OPERATORS
    )
    # What tf2onnx does not know it logs, and leaves in the graph.
    unknown = {n.op_type for n in model.graph.node if not onnx.defs.has(n.op_type)}
    if unknown:
        raise UserError(
            f"ONNX must have every operator. Received: {', '.join(sorted(unknown))}; "
            "choose another tower or format"
        )
    _cast_first(model.graph)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)


def _log1p(context: Any, node: Any, name: str, _: Any) -> None:
    """Write log(1 + x), of averaged softmaxes, as an addition and a log."""
    one = context.make_const(f"{name}_one", np.float32(1)).output[0]
    added = _beside(context, node, "Add", [node.input[0], one])
    node.type = "Log"
    context.replace_inputs(node, [added])


def _erfc(context: Any, node: Any, name: str, _: Any) -> None:
    """Write 1 - erf(x), of GELU, as these two."""
    one = context.make_const(f"{name}_one", np.float32(1)).output[0]
    erf = _beside(context, node, "Erf", [node.input[0]])
    node.type = "Sub"
    context.replace_inputs(node, [one, erf])


def _beside(context: Any, node: Any, kind: str, inputs: list[str]) -> str:
    """Add an operator whose output has the shape and type of a node's."""
    shapes = [context.get_shape(node.output[0])]
    types = [context.get_dtype(node.output[0])]
    made = context.make_node(kind, inputs, shapes=shapes, dtypes=types)
    output: str = made.output[0]
    return output


# Of TensorFlow's operators that our networks hold, those that tf2onnx does not know.
_OPERATORS: dict[str, tuple[Any, list]] = {"Log1p": (_log1p, []), "Erfc": (_erfc, [])}


def _cast_first(graph: Any) -> None:
    """Make a reshape of uint8 pixels, then a cast, into the cast, then the reshape.

    TensorRT takes uint8 inputs, but nothing else than a cast may read them.
    """
    inputs = {given.name for given in graph.input}
    for reshape in graph.node:
        if reshape.op_type != "Reshape" or reshape.input[0] not in inputs:
            continue
        between = reshape.output[0]
        readers = [i for i, node in enumerate(graph.node) if between in node.input]
        if len(readers) != 1 or graph.node[readers[0]].op_type != "Cast":
            continue
        cast = graph.node[readers[0]]
        cast.input[0], reshape.input[0] = reshape.input[0], between
        reshape.output[0], cast.output[0] = cast.output[0], between
        first, second = type(cast)(), type(cast)()
        first.CopyFrom(cast)
        second.CopyFrom(reshape)
        reshape.CopyFrom(first)  # nodes stand in the order of their execution
        graph.node[readers[0]].CopyFrom(second)
        for known in [v for v in graph.value_info if v.name == between]:
            graph.value_info.remove(known)  # it was uint8
