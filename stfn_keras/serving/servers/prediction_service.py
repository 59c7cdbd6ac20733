"""TensorFlow Serving's gRPC in Python, to try an export and a client where it is not.

python -m stfn_keras.serving.servers.prediction_service --model models/stfn --port 8500

A stand-in on the real protos: one version of one model, `Predict` alone, no batching,
no warm-up, no REST. For production run TensorFlow Serving: docs/serving.md.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.servers.ports import check_free, define_port

if TYPE_CHECKING:
    from stfn_keras.serving.servers.model import ServedModel


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string("name", "", "name on the server; the folder's if none")
    absl_flags.DEFINE_string("address", "127.0.0.1", "where to listen; 0.0.0.0 for all")
    define_port("port", 8500, "port of gRPC; 0: a free one", lowest=0)
    absl_flags.DEFINE_integer(
        "workers", os.cpu_count() or 1, "requests computed at a time", lower_bound=1
    )


def make_server(
    served: "ServedModel", name: str, address: str, workers: int
) -> tuple[Any, int]:
    """Make a gRPC server that is not started.

    Args:
        served: What it serves.
        name: Of the model on the server.
        address: `HOST:PORT`; port 0 takes a free one.
        workers: Requests computed at a time.

    Returns:
        The server, and its port.

    Raises:
        UserError: The extra [serving] is not installed, or the port is taken.
    """
    try:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UserError(
            f"gRPC needs TensorFlow Serving's protos. Received: {error}; "
            "in the checkout, pip install '.[serving]'"
        ) from error
    from stfn_keras.serving.client.transport import MAX_BYTES
    from stfn_keras.serving.servers.checks import Refused
    from stfn_keras.serving.servers.model import DEFAULT_SIGNATURE
    from stfn_keras.serving.servers.tensors import from_protos

    known = served.version

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 (the protos')
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            if spec.name != name or version not in (None, known):
                context.abort(
                    grpc.StatusCode.NOT_FOUND,
                    f"this server has {name}, version {known}",
                )
            signature = spec.signature_name or DEFAULT_SIGNATURE
            try:
                specs = served.specs(signature)
                inputs = from_protos(request.inputs, specs, MAX_BYTES)
                found = served.answer(signature, inputs)
            except Refused as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            answer = predict_pb2.PredictResponse()
            for key, array in found.items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(array))
            return answer

    options = [
        ("grpc.max_receive_message_length", MAX_BYTES),
        ("grpc.max_send_message_length", MAX_BYTES),
        ("grpc.so_reuseport", 0),  # two servers on one port would share its requests
    ]
    server = grpc.server(ThreadPoolExecutor(workers), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    try:
        return server, server.add_insecure_port(address)
    except RuntimeError as error:
        raise UserError(f"cannot listen on {address}: choose another --port") from error


def main(_: Sequence[str]) -> None:
    """Serve until stopped."""
    values = absl_flags.FLAGS
    check_free(values.address, {"port": values.port})
    import_keras_quietly()
    from stfn_keras.serving.servers.model import ServedModel

    served = ServedModel(Path(values.model))
    name = values.name or served.name
    address = f"{values.address}:{values.port}"
    server, port = make_server(served, name, address, values.workers)
    server.start()
    address = f"{values.address}:{port}"
    print(f"serving {served.folder} as {name} on {address} (a stand-in)", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    define_flags()
    flags.run(main)
