"""A TensorRT engine on an NVIDIA card.

    runtime = TensorRTRuntime(Path("stfn.engine"))
    runtime.predict({"rgb": ..., "flow": ...})["scores"]

`python -m stfn_keras.exporting.tensorrt` builds engines.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of

SUFFIX = ".engine"
# TensorRT, then TensorRT-RTX by its two names: for cards of workstations and PCs.
MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
OUTPUTS = ("scores", "logits")


def find_tensorrt() -> Any:
    """NVIDIA's Python module, of whichever product is installed.

    Raises:
        UserError: None is.
    """
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UserError(
        "expected TensorRT to be installed. Received: no such package: in the "
        "checkout, pip install '.[tensorrt]', on cards of PCs and workstations "
        "'.[tensorrt-rtx]'"
    )


class TensorRTRuntime:
    """An engine with its memory on the card; see `Runtime`.

    A batch above the largest that the engine takes is run in parts.

    Args:
        path: The engine.
        name: Of the format.
        threads: Of no use here; every runtime has it.

    Raises:
        UserError: A package is missing, or the engine does not fit the card or the
            release of TensorRT.
    """

    def __init__(
        self, path: Path, name: str = "tensorrt", threads: int | None = None
    ) -> None:
        if not path.is_file():
            raise UserError(
                f"expected a TensorRT engine, which python -m "
                f"stfn_keras.exporting.tensorrt builds. Received: {path}, no such file"
            )
        trt = find_tensorrt()
        self._cuda = _find_cuda()
        self.name = name
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise UserError(
                f"{path} must be an engine for this card and for TensorRT "
                f"{trt.__version__}: build it here by python -m "
                "stfn_keras.exporting.tensorrt"
            )
        self._engine = engine  # the context needs it alive
        self._context = engine.create_execution_context()
        self._stream = self._checked(self._cuda.cudaStreamCreate())
        largest = {
            stream: tuple(engine.get_tensor_profile_shape(stream, 0)[2])
            for stream in ("rgb", "flow")
            if stream
            in [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        }
        self.inputs: Inputs = {stream: shape[1:] for stream, shape in largest.items()}
        self.segments = segments_of(self.inputs)
        self.batch = next(iter(largest.values()))[0]
        classes = tuple(engine.get_tensor_shape("logits"))[-1]
        self._found = {
            key: np.empty((self.batch, classes), np.float32) for key in OUTPUTS
        }
        sizes = {stream: int(np.prod(shape)) for stream, shape in largest.items()}
        sizes |= {key: array.nbytes for key, array in self._found.items()}
        self._memory = {
            key: self._checked(self._cuda.cudaMalloc(size))
            for key, size in sizes.items()
        }
        for key, address in self._memory.items():
            self._context.set_tensor_address(key, int(address))

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        batch = check_views(views, self.inputs)
        parts = [
            self._run({s: views[s][start : start + self.batch] for s in self.inputs})
            for start in range(0, batch, self.batch)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in OUTPUTS}

    def _run(self, views: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score at most as many videos as the engine takes at once."""
        kind = self._cuda.cudaMemcpyKind
        count = len(next(iter(views.values())))
        given = {stream: np.ascontiguousarray(view) for stream, view in views.items()}
        for stream, view in given.items():
            self._context.set_input_shape(stream, view.shape)
            self._copy(self._memory[stream], view.ctypes.data, view.nbytes,
                       kind.cudaMemcpyHostToDevice)  # fmt: skip
        if not self._context.execute_async_v3(int(self._stream)):
            raise RuntimeError("TensorRT could not run the engine; see its message")
        for key, array in self._found.items():
            self._copy(array.ctypes.data, self._memory[key], array[:count].nbytes,
                       kind.cudaMemcpyDeviceToHost)  # fmt: skip
        self._checked(self._cuda.cudaStreamSynchronize(self._stream))
        return {key: array[:count].copy() for key, array in self._found.items()}

    def _copy(self, to: Any, source: Any, size: int, kind: Any) -> None:
        self._checked(self._cuda.cudaMemcpyAsync(to, source, size, kind, self._stream))

    def _checked(self, result: tuple) -> Any:
        """What a call of CUDA gives, its status checked and taken away."""
        status, *values = result
        if int(status):
            raise UserError(
                f"CUDA must find a card and its driver. It says: {status.name}"
            )
        return values[0] if values else None

    def __del__(self) -> None:
        for address in getattr(self, "_memory", {}).values():
            self._cuda.cudaFree(address)
        if hasattr(self, "_stream"):
            self._cuda.cudaStreamDestroy(self._stream)


def _find_cuda() -> Any:
    """The runtime interface of NVIDIA's cuda-python.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise UserError(
            "expected cuda-python to be installed, which moves data to the card. "
            "Received: no such package: in the checkout, pip install '.[tensorrt]'"
        ) from error
