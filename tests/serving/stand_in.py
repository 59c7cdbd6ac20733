"""Stand-ins for TensorFlow Serving, whose binary no package registry has.

They speak its own protos and its JSON, and run the exported folder as the server does:
the graph in a session, fed by name, which compares no shape with the signature. What
the real server does besides (versions, batching, warm-up) they do not.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from stfn_keras.serving.servers.checks import Refused
from stfn_keras.serving.servers.json_form import from_json, to_json
from stfn_keras.serving.servers.model import ServedModel


class StandIn(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The PredictionService of one model, named as its folder."""

    def __init__(self, folder: Path) -> None:
        self._name = folder.parent.name
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(
                self._session, ["serve"], str(folder)
            )
        self._signatures = {
            name: signature
            for name, signature in loaded.signature_def.items()
            if not name.startswith("__")  # what loading runs
        }
        self._calls = {name: self._callable(name) for name in self._signatures}
        self.unavailable = 0  # requests to turn away
        self.slow = threading.Event()  # hold requests back while it is set

    def _callable(self, name: str):
        signature = self._signatures[name]
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[key].name for key in sorted(signature.inputs)],
            fetch=[signature.outputs[key].name for key in sorted(signature.outputs)],
        )
        # Session.run would compare shapes in Python first; the server has no Python.
        return self._session._make_callable_from_options(options)

    def Predict(self, request, context):  # noqa: N802 (the protos' name)
        """Answer a request."""
        if self.unavailable:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        while self.slow.is_set():
            threading.Event().wait(0.01)
        spec = request.model_spec
        if spec.name != self._name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {spec.name}")
        name = spec.signature_name or "serving_default"
        if name not in self._signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no signature {name}")
        signature = self._signatures[name]
        wanted, sent = set(signature.inputs), set(request.inputs)
        if wanted != sent:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                "input size does not match signature. Sent extra: "
                f"{sent - wanted}. Missing but required: {wanted - sent}.",
            )
        for key, info in signature.inputs.items():
            if request.inputs[key].dtype != info.dtype:
                context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT, f"{key} has another type"
                )
        arrays = [tf.make_ndarray(request.inputs[key]) for key in sorted(wanted)]
        try:
            found = self._calls[name](*arrays)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        answer = predict_pb2.PredictResponse()
        for key, array in zip(sorted(signature.outputs), found, strict=True):
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(np.asarray(array)))
        return answer


@contextlib.contextmanager
def grpc_stand_in(folder: Path) -> Iterator[tuple[str, StandIn]]:
    """Serve on loopback; the address, and the servicer to play with."""
    servicer = StandIn(folder)
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        servicer, server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", servicer
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def http_stand_in(
    served: ServedModel, port: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """TensorFlow Serving's REST on loopback; the address, and the paths asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 (the standard library's name)
            paths.append(self.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                if not self.path.startswith(f"/v1/models/{served.name}"):
                    raise Refused(f"no model at {self.path}")
                name = body["signature_name"]
                given = from_json(body["inputs"], served.specs(name))
                outputs = to_json(served.answer(name, given))
                # An only output comes without its name.
                only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
                status, found = 200, {"outputs": only}
            except Refused as error:
                status, found = 400, {"error": str(error)}
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
