"""Serve an exported model by NVIDIA's Triton, in the Open Inference Protocol.

python -m stfn_keras.serving.servers.triton --model models/stfn --http_port 8000

Each signature is a model of its own, since a Triton model has one set of inputs:
stfn_serving_default, stfn_serve_jpeg, stfn_features, stfn_fuse. Needs nvidia-pytriton,
which brings Triton, in an environment of its own: docs/serving.md.
"""

import os
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.servers.ports import check_free, define_port

VERSION = "0.7.0"  # of PyTriton, that it was tried with


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string(
        "name", "", "its name on the server; of the folder if none"
    )
    absl_flags.DEFINE_string("address", "127.0.0.1", "where to listen; 0.0.0.0 for all")
    define_port("http_port", 8000, "port of HTTP")
    define_port("grpc_port", 8001, "port of gRPC")
    absl_flags.DEFINE_integer(
        "workers", os.cpu_count() or 1, "requests of a signature computed at a time",
        lower_bound=1,
    )  # fmt: skip


def main(_: Sequence[str]) -> None:
    """Serve until stopped."""
    values = absl_flags.FLAGS
    ports = {"http_port": values.http_port, "grpc_port": values.grpc_port}
    check_free(values.address, ports)
    import_keras_quietly()
    from stfn_keras.serving.servers.model import ServedModel

    try:
        from pytriton.exceptions import PyTritonError
        from pytriton.model_config import ModelConfig
        from pytriton.triton import Triton, TritonConfig
    except ImportError as error:
        raise UserError(
            f"expected PyTriton to be installed. Received: {error}; in an environment "
            f"of its own, pip install -e . nvidia-pytriton=={VERSION}"
        ) from error

    served = ServedModel(Path(values.model))
    name = values.name or served.name
    config = TritonConfig(
        http_address=values.address, http_port=values.http_port,
        grpc_address=values.address, grpc_port=values.grpc_port,
        allow_metrics=False,
    )  # fmt: skip
    # Triton's Python must be this one, not another of the same minor version.
    libraries = [sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH")]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    check_free(values.address, ports)  # loading took a while
    with Triton(config=config) as triton:
        for signature in served.inputs:
            triton.bind(
                model_name=f"{name}_{signature}",
                infer_func=[_inference(served, signature)] * values.workers,
                inputs=_tensors(served.inputs[signature]),
                outputs=_tensors(served.outputs[signature]),
                # The batch is an ordinary side: a bad request fails alone.
                config=ModelConfig(batching=False),
            )
        try:
            triton.run()
        except (PyTritonError, TimeoutError) as error:
            raise UserError(
                f"Triton did not start on {values.address}, --http_port="
                f"{values.http_port} and --grpc_port={values.grpc_port}. It says: "
                f"{' '.join(str(error).split())}"
            ) from error
        print(f"serving {served.folder} as {name}_SIGNATURE", flush=True)
        triton.serve()


def _inference(served: Any, signature: str) -> Callable:
    """What PyTriton calls for the requests of a signature."""
    from pytriton.exceptions import PyTritonInvalidOperationError

    from stfn_keras.serving.servers.checks import Refused

    def infer(requests: list) -> list[dict[str, np.ndarray]]:
        try:
            return [served.answer(signature, dict(request)) for request in requests]
        except Refused as error:  # without batching it is the only request
            raise PyTritonInvalidOperationError(str(error)) from None

    return infer


def _tensors(specs: dict) -> list:
    from pytriton.model_config import Tensor

    return [
        Tensor(
            name=name,
            dtype=bytes if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype,
            shape=tuple(-1 if side is None else side for side in spec.shape),
        )
        for name, spec in specs.items()
    ]


if __name__ == "__main__":
    define_flags()
    flags.run(main)
