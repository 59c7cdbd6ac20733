"""TensorFlow Serving's REST, which KServe's Python server answers as well.

transport = make("http", "localhost:8501", "stfn", None, 64_000_000)

Pixels become text here, four times their size: send encoded images, `serve_jpeg`.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.client.http import post, quote


class RestTransport:
    """Requests to one model; see `Transport`. Threads may share it."""

    def __init__(self, url: str, max_bytes: int) -> None:
        self._url = url
        self._max_bytes = max_bytes

    def call(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Send one request; see `Transport.call`."""
        for name, array in inputs.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UserError(f"{name} must hold finite numbers: JSON has no others")
        body = json.dumps(
            {
                "signature_name": signature,
                "inputs": {n: _listed(array.tolist()) for n, array in inputs.items()},
            }
        ).encode()
        headers = {"Content-Type": "application/json"}
        answer, _ = post(self._url, body, headers, timeout, self._max_bytes)
        try:
            outputs = json.loads(answer)["outputs"]
            if not isinstance(outputs, dict):  # an only output has no name
                outputs = {f"{next(iter(inputs))}_{signature}": outputs}
            return {name: _array(value) for name, value in outputs.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"the server sent no outputs: {answer[:200]!r}") from error

    def close(self) -> None:
        """Nothing is kept open."""


def _listed(value: Any) -> Any:
    """Encoded images within lists as {"b64": ...}."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list) and value and isinstance(value[0], (bytes, list)):
        return [_listed(item) for item in value]
    return value


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "U":
        encoded = np.empty(array.shape, object)
        for where, text in np.ndenumerate(array):
            encoded[where] = str(text).encode()
        return encoded
    return array.astype(np.float32)


def make(
    scheme: str, address: str, name: str, version: int | None, max_bytes: int
) -> RestTransport:
    """Make the transport of an address."""
    chosen = "" if version is None else f"/versions/{version}"
    url = f"{scheme}://{address}/v1/models/{quote(name)}{chosen}:predict"
    return RestTransport(url, max_bytes)
