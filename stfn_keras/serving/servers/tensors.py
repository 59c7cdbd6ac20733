"""Tensors of a request, as TensorFlow sends them, to arrays.

arrays = from_protos(request.inputs, served.specs("serve_jpeg"))

A proto of a few bytes may claim any shape, so nothing is made of it before it is
compared with what the signature takes.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.serving.servers.checks import Refused, Specs, check_names, describe

_POINTER = 8  # bytes of an array's element that refers to a string


def from_protos(
    inputs: Mapping[str, Any], specs: Specs, max_bytes: int
) -> dict[str, np.ndarray]:
    """Make arrays of a request's `TensorProto`s.

    Args:
        inputs: By name.
        specs: Of the signature's inputs.
        max_bytes: Of an array, at most.

    Raises:
        Refused: An input is missing, unknown, of another type or shape, too large, or
            holds other values than its shape says.
    """
    check_names(inputs, specs)
    for name, spec in specs.items():
        _check(name, inputs[name], spec, max_bytes)
    return {name: _array(name, inputs[name], spec) for name, spec in specs.items()}


def _check(name: str, proto: Any, spec: tf.TensorSpec, max_bytes: int) -> None:
    """Refuse a tensor that is not what a signature takes, by what it says of itself."""
    sides = [side.size for side in proto.tensor_shape.dim]
    try:
        kind = tf.dtypes.as_dtype(proto.dtype)
    except TypeError:
        kind = None
    sound = not proto.tensor_shape.unknown_rank and all(side >= 0 for side in sides)
    if kind != spec.dtype or not sound or not spec.shape.is_compatible_with(sides):
        received = f"{kind.name if kind else 'no type'} ({', '.join(map(str, sides))})"
        raise Refused(f"{name} must be {describe(spec)}. Received: {received}")
    size = math.prod(sides) * (_POINTER if kind == tf.string else kind.size)
    if size > max_bytes:
        raise Refused(f"{name} must have at most {max_bytes} bytes. Received: {size}")


def _array(name: str, proto: Any, spec: tf.TensorSpec) -> np.ndarray:
    try:
        return tf.make_ndarray(proto)
    except (ValueError, TypeError) as error:
        raise Refused(
            f"{name} must hold the values of {describe(spec)}. Received: {error}"
        ) from error
