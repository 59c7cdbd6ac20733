"""An ONNX network whose convolutions and products are computed in a half type.

    lowered(model, "fp16")      # or "bf16"

TensorRT takes every type as the file says it (`strongly typed`), so the file says it:
all from the first convolution or matrix product to the last one is in the half type.
Before them pixels are scaled, after them logits are added and softmax is taken: these
stay in float32, as do the network's inputs and outputs.
"""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stfn_keras.errors import UserError

HEAVY = ("Conv", "MatMul", "Gemm")
TYPES = {
    "fp16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bf16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}


def lowered(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return the network in a half type.

    Args:
        model: In float32.
        precision: `fp16` or `bf16`.

    Raises:
        UserError: A weight is beyond the type's range.
    """
    kind, dtype = TYPES[precision]
    changed = onnx.shape_inference.infer_shapes(model)
    graph = changed.graph
    floats = _floats(graph)
    low = _between_heavy(graph)
    weights = {weight.name: weight for weight in graph.initializer}
    outputs = {tensor.name for tensor in graph.output}
    read = {
        name
        for number, node in enumerate(graph.node)
        if number not in low
        for name in node.input
    } | outputs  # in float32
    nodes: list[onnx.NodeProto] = []
    made: set[str] = set()  # whose half form exists

    def half(name: str) -> str:
        """The half form of a float tensor, made where it is first read."""
        result = f"{name}_{precision}"
        if name not in made:
            made.add(name)
            if name in weights:
                array = _rounded(weights[name], dtype, precision)
                graph.initializer.append(numpy_helper.from_array(array, result))
            else:
                nodes.append(helper.make_node("Cast", [name], [result], to=kind))
        return result

    for number, original in enumerate(graph.node):
        if number not in low:
            nodes.append(original)
            continue
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for place, name in enumerate(original.input):
            if name in floats:
                node.input[place] = half(name)
        for place, name in enumerate(original.output):
            if name in floats:
                made.add(name)
                node.output[place] = f"{name}_{precision}"
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = kind
        nodes.append(node)
        for name in original.output:
            if name in floats and name in read:
                back = [f"{name}_{precision}"]
                nodes.append(
                    helper.make_node("Cast", back, [name], to=TensorProto.FLOAT)
                )
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    _drop_unread(graph)
    return changed


def _floats(graph: onnx.GraphProto) -> set[str]:
    """The names of all float32 tensors."""
    typed = [*graph.value_info, *graph.input, *graph.output]
    found = {
        tensor.name
        for tensor in typed
        if tensor.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    return found | {
        weight.name
        for weight in graph.initializer
        if weight.data_type == TensorProto.FLOAT
    }


def _between_heavy(graph: onnx.GraphProto) -> set[int]:
    """The nodes that are heavy, or have heavy ones before and behind them."""
    after: set[int] = set()
    tensors: set[str] = set()
    for number, node in enumerate(graph.node):
        if node.op_type in HEAVY or tensors.intersection(node.input):
            after.add(number)
            tensors.update(node.output)
    before: set[int] = set()
    tensors = set()
    for number, node in reversed(list(enumerate(graph.node))):
        if node.op_type in HEAVY or tensors.intersection(node.output):
            before.add(number)
            tensors.update(node.input)
    return after & before


def _rounded(weight: onnx.TensorProto, dtype: np.dtype, precision: str) -> np.ndarray:
    array = numpy_helper.to_array(weight)
    with np.errstate(over="ignore"):
        rounded: np.ndarray = array.astype(dtype)
    if not np.isfinite(rounded.astype(np.float32)).all():
        raise UserError(
            f"--precision={precision} holds up to {ml_dtypes.finfo(dtype).max:g}. "
            f"Received a weight of {np.abs(array).max():g}; try bf16"
        )
    return rounded


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove weights that only their half form stands for now."""
    read = {name for node in graph.node for name in node.input}
    for weight in [w for w in graph.initializer if w.name not in read]:
        graph.initializer.remove(weight)
