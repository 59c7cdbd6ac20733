"""TensorFlow Serving's JSON, to arrays and back; its numbers are checked.

inputs = from_json({"rgb_jpeg": [[{"b64": "/9j/..."}]]}, specs)
to_json({"scores": array})  # {"scores": [[0.9, 0.1]]}
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.serving.servers.checks import Refused, Specs, describe


def from_json(inputs: Any, specs: Specs) -> dict[str, np.ndarray]:
    """Make arrays of the `inputs` of a request.

    Args:
        inputs: Lists by name; encoded images as {"b64": base64}.
        specs: Of the signature's inputs, whose types the arrays take.

    Raises:
        Refused: It is no such object, or a value does not fit its input's type.
    """
    if not isinstance(inputs, dict):
        raise Refused(
            f"inputs must be an object with {', '.join(specs)}. "
            f"Received: {type(inputs).__name__}"
        )
    return {
        name: _array(name, value, specs[name]) if name in specs else np.empty(0)
        for name, value in inputs.items()
    }


def to_json(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Lists of the outputs of a signature; strings are decoded as UTF-8."""
    return {
        name: np.vectorize(bytes.decode, otypes=[object])(array).tolist()
        if array.dtype == object
        else array.tolist()
        for name, array in outputs.items()
    }


def _array(name: str, value: Any, spec: tf.TensorSpec) -> np.ndarray:
    if spec.dtype == tf.string:
        return _strings(name, value)
    try:
        array = np.asarray(value)
        sound = array.dtype.kind in ("iuf" if spec.dtype.is_floating else "iu")
    except (ValueError, OverflowError):  # lists of different lengths
        sound = False
    if not sound and value != []:
        raise Refused(f"{name} must be numbers for {describe(spec)}")
    kind = spec.dtype.as_numpy_dtype
    if array.size and spec.dtype.is_integer:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        if array.min() < least or array.max() > most:
            raise Refused(
                f"{name} must hold numbers from {least} to {most}. "
                f"Received: {array.min()} to {array.max()}"
            )
    return array.astype(kind)


def _strings(name: str, value: Any) -> np.ndarray:
    """Lists of lists of {"b64": ...} as an array of bytes, (batch, T)."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise Refused(f"{name} must be a list of videos, each a list of images")
    lengths = {len(row) for row in value}
    if len(lengths) > 1:
        raise Refused(
            f"{name} must hold as many images for each video. Received: "
            f"{' and '.join(map(str, sorted(lengths)))}"
        )
    array = np.empty((len(value), *lengths), object)
    for row, column in np.ndindex(*array.shape) if lengths else ():
        array[row, column] = _bytes(f"{name}[{row}, {column}]", value[row][column])
    return array


def _bytes(place: str, value: Any) -> bytes:
    encoded = value.get("b64") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(encoded, str):
        raise Refused(f'{place} must be {{"b64": base64 of an image}}')
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:  # also characters outside ASCII
        raise Refused(f"{place} is no base64: {error}") from error
