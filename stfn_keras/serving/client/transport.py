"""What every way to a server has in common, and the way that an address names.

    transport = open_transport("localhost:8500", "stfn")
    transport.call("serve_jpeg", {"rgb_jpeg": ..., "flow_jpeg": ...}, timeout=10)

Addresses: `host:port` or `grpc://host:port` is TensorFlow Serving's gRPC, `grpcs://`
the same over TLS; `http://` and `https://` its REST, which KServe's Python server
speaks too; `v2+http://` and `v2+https://` the Open Inference Protocol of Triton.
"""

import importlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from stfn_keras.errors import UserError

MAX_BYTES = 64_000_000  # of a request and of an answer
MODULES = {
    "grpc": "tfs_grpc",
    "grpcs": "tfs_grpc",
    "http": "tfs_rest",
    "https": "tfs_rest",
    "v2+http": "open_inference",
    "v2+https": "open_inference",
}


class Unavailable(UserError):
    """Nobody answered, so the same request may be sent again."""


class ServerError(UserError):
    """The server answered that it cannot; its own words are in the message.

    Attributes:
        status: Its code: `INVALID_ARGUMENT`, or a number of HTTP.
        detail: Its words.
    """

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(f"the server refused the request ({status}): {detail}")
        self.status = status
        self.detail = detail


class Transport(Protocol):
    """A way to one model on a server."""

    def call(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Send one request and wait for its answer.

        Args:
            signature: Of the model.
            inputs: By name; strings as arrays of `object` that hold bytes.
            timeout: Seconds until it is given up.

        Returns:
            The outputs by name, likewise.

        Raises:
            Unavailable: Nobody answered, or the server is not ready.
            UserError: The server refused the request, or took too long.
        """

    def close(self) -> None:
        """Let go of the connection."""


def open_transport(
    server: str, name: str, version: int | None = None, max_bytes: int = MAX_BYTES
) -> Transport:
    """Make the transport for an address; nothing is sent yet.

    Args:
        server: As in the module's text.
        name: Of the model on the server.
        version: Of the model; None for the server's choice.
        max_bytes: Of a message, at most.

    Raises:
        UserError: The address is none, or its protocol needs a package.
    """
    scheme, found, rest = server.rpartition("://")
    scheme = scheme if found else "grpc"
    rest = rest.rstrip("/")
    sound = rest.rpartition(":")[2].isdigit() or scheme.endswith(("http", "https"))
    if scheme not in MODULES or not rest or not sound:
        raise UserError(
            "--server must be HOST:PORT for gRPC, or begin with "
            f"{', '.join(f'{known}://' for known in MODULES)}. Received: {server!r}"
        )
    module = importlib.import_module(f"stfn_keras.serving.client.{MODULES[scheme]}")
    transport: Transport = module.make(scheme, rest, name, version, max_bytes)
    return transport


def too_slow(timeout: float) -> UserError:
    """What to tell of a request that ran out of time."""
    return UserError(
        f"the server did not answer within {timeout:.3g} s: it may be warming up or be "
        "overloaded; --timeout allows more"
    )


def too_large(size: int, limit: int) -> UserError:
    """What to tell of a message above the limit."""
    return UserError(
        f"a message must have at most {limit} bytes. Received: {size}; send fewer "
        "videos at a time, or allow more with --max_bytes"
    )
