"""Requests that TF Serving answers to itself when it loads a model.

write_warmup(folder, runtime.signatures, "stfn", height=256, width=340)

The first call of a signature is slow: it should be no client's. The file is a TFRecord
of `tensorflow.serving.PredictionLog`; of that message only the few fields below are
needed, so it is written without the package that defines it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.data.records import RecordWriter
from stfn_keras.video import image

# Of the file, in assets.extra/, where TF Serving looks for it.
WARMUP = "tf_serving_warmup_requests"

# Numbers of fields in tensorflow_serving/apis/*.proto.
_PREDICT_LOG = 6  # of PredictionLog
_REQUEST = 1  # of PredictLog
_MODEL_SPEC, _INPUTS = 1, 2  # of PredictRequest
_KEY, _VALUE = 1, 2  # of an entry in its map
_MODEL_NAME, _SIGNATURE_NAME = 1, 3  # of ModelSpec


def write_warmup(
    path: Path, signatures: Mapping[str, Any], model: str, height: int, width: int
) -> None:
    """Write a request of one grey video for each signature.

    Args:
        path: The file.
        signatures: Concrete functions by name, as of a loaded SavedModel.
        model: Its name.
        height: Of the encoded frames, in pixels.
        width: Likewise.
    """
    pairs = _pairs(signatures)
    frame = np.full((height, width, 3), 128, np.uint8)
    code = np.full((pairs, height, width, 2), 128, np.uint8)
    jpegs = {"height": height, "width": width, "rgb_jpeg": image.encode_rgb(frame)}
    if pairs:
        jpegs["flow_jpeg"] = image.encode_flow(code)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for name, function in signatures.items():
            specs = function.structured_input_signature[1]
            values = {key: jpegs.get(key, 128) for key in specs}
            writer.write(_request(model, name, specs, values))


def _pairs(signatures: Mapping[str, Any]) -> int:
    views = signatures["serving_default"].structured_input_signature[1]
    return views["flow"].shape[-1] // 2 if "flow" in views else 0


def _request(
    model: str, signature: str, specs: Mapping[str, Any], values: Mapping[str, Any]
) -> bytes:
    """A PredictionLog: every element of an input has its one value."""
    spec = _field(_MODEL_NAME, model.encode()) + _field(
        _SIGNATURE_NAME, signature.encode()
    )
    request = _field(_MODEL_SPEC, spec)
    for key, wanted in sorted(specs.items()):
        shape = [1, *wanted.shape[1:]]
        tensor = tf.make_tensor_proto(values[key], wanted.dtype, shape)
        entry = _field(_KEY, key.encode()) + _field(_VALUE, tensor.SerializeToString())
        request += _field(_INPUTS, entry)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    head, length = bytearray([number << 3 | 2]), len(content)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + content
