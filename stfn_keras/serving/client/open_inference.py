"""The Open Inference Protocol over HTTP, with its binary tensors: Triton's own.

transport = make("v2+http", "localhost:8000", "stfn", None, 64_000_000)

A body is a JSON header and then the tensors' bytes, in its order; strings are written
as their length, 4 bytes, and themselves. Each signature is a model: stfn_serve_jpeg.
"""

import json
import re
import struct
import time
from collections.abc import Mapping

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.client.http import answers, post, quote
from stfn_keras.serving.client.transport import ServerError, Unavailable

LENGTH = "Inference-Header-Content-Length"
KINDS = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32", "object": "BYTES"}
_TYPES = {kind: name for name, kind in KINDS.items()}
UNKNOWN = "404"  # of a model, which Triton says of one that it is loading, too
MOMENT = 0.2  # seconds
_SIZE = struct.Struct("<I")
# PyTriton sends the whole traceback of what a server script raised.
_REFUSAL = re.compile(r"PyTritonInvalidOperationError: (.+)")


class OpenInferenceTransport:
    """Requests to the models of one export; see `Transport`. Threads may share it."""

    def __init__(self, url: str, name: str, version: str, max_bytes: int) -> None:
        self._url, self._name, self._version = url, name, version
        self._max_bytes = max_bytes

    def call(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Send one request; see `Transport.call`."""
        header, data = pack(inputs)
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(header))}
        name = quote(f"{self._name}_{signature}")
        url = f"{self._url}/v2/models/{name}{self._version}/infer"
        try:
            answer, about = post(url, header + data, headers, timeout, self._max_bytes)
        except ServerError as error:
            if error.status == UNKNOWN and self._is_loading(timeout):
                raise Unavailable(f"the server is not ready: {error.detail}") from error
            told = _REFUSAL.search(error.detail)
            if told is None:
                raise
            raise ServerError(error.status, told[1]) from error
        length = about.get(LENGTH.lower(), "")
        return unpack(answer, int(length) if length.isdecimal() else len(answer))

    def _is_loading(self, timeout: float) -> bool:
        """Whether a server may yet load a model that it does not know.

        PyTriton's is ready before it has any, and for a moment between two of them.
        """
        for pause in (MOMENT, 0.0):
            if not answers(f"{self._url}/v2/health/ready", timeout):
                return True
            try:
                url = f"{self._url}/v2/repository/index"
                index, _ = post(url, b"", {}, timeout, self._max_bytes)
                if json.loads(index) == []:
                    return True
            except (UserError, ValueError):
                return False  # it does not tell
            time.sleep(pause)
        return False

    def close(self) -> None:
        """Nothing is kept open."""


def pack(inputs: Mapping[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Make the header and the bytes of a request.

    Raises:
        UserError: An input is empty.
    """
    described, parts = [], []
    for name, array in inputs.items():
        if not array.size:  # PyTriton fails on it before its script could name it
            raise UserError(
                f"{name} must hold at least one video. Received: shape {array.shape}"
            )
        part = _bytes(array)
        parts.append(part)
        described.append(
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": KINDS[array.dtype.name],
                "parameters": {"binary_data_size": len(part)},
            }
        )
    header = {"inputs": described, "parameters": {"binary_data_output": True}}
    return json.dumps(header).encode(), b"".join(parts)


def unpack(body: bytes, length: int) -> dict[str, np.ndarray]:
    """Read the outputs of an answer whose header has so many bytes.

    Raises:
        UserError: It is no answer of this protocol.
    """
    try:
        outputs, start, found = json.loads(body[:length])["outputs"], length, {}
        for output in outputs:
            shape, kind = output["shape"], _TYPES[output["datatype"]]
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                flat = output["data"]
                if kind == "object":
                    flat = [text.encode() for text in flat]
            elif kind == "object":
                flat = _strings(body[start : start + size])
            else:
                flat = np.frombuffer(body[start : start + size], kind)
            found[output["name"]] = np.array(flat, kind).reshape(shape)
            start += size or 0
        return found
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise UserError(f"the server sent no outputs: {body[:200]!r}") from error


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype == object:
        return b"".join(_SIZE.pack(len(value)) + value for value in array.flat)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.tobytes()


def _strings(data: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(data):
        (size,) = _SIZE.unpack_from(data, start)
        start += _SIZE.size + size
        found.append(data[start - size : start])
    return found


def make(
    scheme: str, address: str, name: str, version: int | None, max_bytes: int
) -> OpenInferenceTransport:
    """Make the transport of an address."""
    url = f"{scheme.removeprefix('v2+')}://{address}"
    chosen = "" if version is None else f"/versions/{version}"
    return OpenInferenceTransport(url, name, chosen, max_bytes)
