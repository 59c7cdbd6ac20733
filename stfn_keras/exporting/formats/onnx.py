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


# What only moves pixels, or takes some of them.
_MOVES = ("Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def _cast_first(graph: Any) -> None:
    """Cast uint8 pixels before anything moves them, not after.

    TensorRT takes uint8 inputs, but nothing else than a cast may read them.
    """
    import onnx

    floats = {given.name: f"{given.name}_cast" for given in graph.input}
    casts = [
        onnx.helper.make_node("Cast", [name], [cast], to=onnx.TensorProto.FLOAT)
        for name, cast in floats.items()
    ]
    nodes = []
    for node in graph.node:  # in the order of their execution
        is_cast = node.op_type == "Cast" and node.input[0] in floats
        is_cast = is_cast and node.attribute[0].i == onnx.TensorProto.FLOAT
        for place, name in enumerate(node.input):
            node.input[place] = floats.get(name, name)
        if is_cast:  # its input is float by now
            floats[node.output[0]] = node.input[0]
            continue
        if node.op_type in _MOVES and node.input[0] in floats.values():
            floats[node.output[0]] = node.output[0]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    for known in [v for v in graph.value_info if v.name in floats]:
        graph.value_info.remove(known)  # it was uint8
