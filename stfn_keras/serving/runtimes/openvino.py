"""OpenVINO on the CPU.

runtime = OpenVINORuntime(Path("models/stfn/1/formats/openvino/model.xml"))
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stfn_keras.serving.formats import require
from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of


class OpenVINORuntime:
    """An OpenVINO model, computed in float32; see `Runtime`.

    On CPUs with bfloat16 instructions OpenVINO would compute in that type, whose scores
    are not the trained network's: `INFERENCE_PRECISION_HINT` holds it to float32.

    Args:
        path: The `.xml` file; its `.bin` lies beside it.
        name: Of the format.
        threads: To compute with; None for OpenVINO's choice.
    """

    def __init__(
        self, path: Path, name: str = "openvino", threads: int | None = None
    ) -> None:
        require(name)
        import openvino

        self.name = name
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": "NO",  # decoding and flow run beside it
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        shapes = {port.any_name: port.partial_shape for port in self._model.inputs}
        self.inputs: Inputs = {
            stream: tuple(side.get_length() for side in list(shapes[stream])[1:])
            for stream in ("rgb", "flow")
            if stream in shapes
        }
        self.segments = segments_of(self.inputs)

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        check_views(views, self.inputs)
        given = {stream: np.ascontiguousarray(views[stream]) for stream in self.inputs}
        found = self._model(given)
        return {key: np.array(found[key]) for key in ("scores", "logits")}
