"""TensorFlow Serving's gRPC: its PredictionService, by its own protos.

transport = make("grpc", "localhost:8500", "stfn", None, 64_000_000)

Needs the extra [serving].
"""

import contextlib
import os
import socket
from collections.abc import Mapping

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.quiet import held_stderr
from stfn_keras.serving.client.transport import (
    ServerError,
    Unavailable,
    too_large,
    too_slow,
)

try:
    # TensorFlow prints notices of the hardware, which a client does not use.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_stderr(shown=False):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
except ImportError as _error:
    raise UserError(
        f"gRPC needs TensorFlow Serving's protos. Received: {_error}; "
        "in the checkout, pip install '.[serving]', or use --server http://HOST:8501"
    ) from _error


PROBE = 1.0  # seconds


class GrpcTransport:
    """A channel to one model; see `Transport`. Threads may share it."""

    def __init__(
        self,
        channel: grpc.Channel,
        name: str,
        version: int | None,
        max_bytes: int,
        address: str = "",
    ) -> None:
        self._channel = channel
        self._address = address
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._name, self._version = name, version
        self._max_bytes = max_bytes

    def call(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Send one request; see `Transport.call`."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, array in inputs.items():
            kind = tf.string if array.dtype == object else None
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array, kind))
        if (size := request.ByteSize()) > self._max_bytes:
            raise too_large(size, self._max_bytes)
        try:
            answer = self._stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            told = _told(error, timeout)
            if isinstance(told, Unavailable) and speaks_http(self._address):
                told = UserError(
                    f"--server must speak gRPC where no http:// is before it. "
                    f"Received: {self._address}, which speaks HTTP: write "
                    f"http://{self._address}, of Triton v2+http://{self._address}"
                )
            raise told from error
        return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def speaks_http(address: str) -> bool:
    """Whether somebody at HOST:PORT answers a line of HTTP/1 by another."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, ValueError):
        where = host.strip("[]"), int(port)
        with socket.create_connection(where, timeout=PROBE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    return False


def _told(error: grpc.RpcError, timeout: float) -> UserError:
    code = error.code()
    if code == grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"the server cannot be reached: {error.details()}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return too_slow(timeout)
    return ServerError(code.name, error.details() or "no details")


def make(
    scheme: str, address: str, name: str, version: int | None, max_bytes: int
) -> GrpcTransport:
    """Open a channel; with `grpcs` over TLS."""
    options = [
        ("grpc.max_send_message_length", max_bytes),
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.enable_retries", 0),  # `retried` does it, within one deadline
        # A channel tries to connect at its own pace, which would grow to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    if scheme == "grpcs":
        secrets = grpc.ssl_channel_credentials()
        channel = grpc.secure_channel(address, secrets, options)
    else:
        channel = grpc.insecure_channel(address, options)
    return GrpcTransport(channel, name, version, max_bytes, address)
