"""LiteRT (once TensorFlow Lite), run by ai-edge-litert alone.

runtime = LiteRTRuntime(Path("models/stfn/1/formats/litert_int8.tflite"), "litert_int8")
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stfn_keras.quiet import held_stderr
from stfn_keras.serving.formats import require
from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of

SIGNATURE = "serving_default"


class LiteRTRuntime:
    """A LiteRT file; see `Runtime`.

    The file takes a batch of any size, but one video at a time is no slower, and the
    memory of its intermediate results then does not grow with the batch.

    Args:
        path: The `.tflite` file.
        name: Of the format.
        threads: To compute with; None for as many as there are CPUs.
    """

    def __init__(
        self, path: Path, name: str = "litert_float32", threads: int | None = None
    ) -> None:
        require(name)
        from ai_edge_litert.interpreter import Interpreter

        self.name = name
        with held_stderr():  # which kernels it takes
            interpreter = Interpreter(
                model_path=str(path), num_threads=threads or os.cpu_count() or 1
            )
            interpreter.allocate_tensors()
            self._call = interpreter.get_signature_runner(SIGNATURE)
        details = self._call.get_input_details()
        self.inputs: Inputs = {
            stream: tuple(int(side) for side in details[stream]["shape"][1:])
            for stream in ("rgb", "flow")
            if stream in details
        }
        self.segments = segments_of(self.inputs)

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        batch = check_views(views, self.inputs)
        found = [
            self._call(**{stream: views[stream][i : i + 1] for stream in self.inputs})
            for i in range(batch)
        ]
        return {
            key: np.concatenate([one[key] for one in found])  # (batch, classes)
            for key in ("scores", "logits")
        }
