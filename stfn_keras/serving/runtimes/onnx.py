"""ONNX, run by ONNX Runtime.

runtime = ONNXRuntime(Path("models/stfn/1/formats/model.onnx"))
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stfn_keras.serving.formats import require
from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of

OUTPUTS = ("scores", "logits")


class ONNXRuntime:
    """An ONNX file on the CPU; see `Runtime`.

    Args:
        path: The `.onnx` file.
        name: Of the format.
        threads: To compute with; None for as many as there are physical cores.
    """

    def __init__(
        self, path: Path, name: str = "onnx", threads: int | None = None
    ) -> None:
        require(name, ("onnxruntime",))
        import onnxruntime

        self.name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        shapes = {given.name: given.shape for given in self._session.get_inputs()}
        self.inputs: Inputs = {
            stream: tuple(shapes[stream][1:])
            for stream in ("rgb", "flow")
            if stream in shapes
        }
        self.segments = segments_of(self.inputs)

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        check_views(views, self.inputs)
        given = {stream: views[stream] for stream in self.inputs}
        found = self._session.run(OUTPUTS, given)
        return dict(zip(OUTPUTS, found, strict=True))
