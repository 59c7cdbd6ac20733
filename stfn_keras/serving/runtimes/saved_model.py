"""The SavedModel, run by TensorFlow.

runtime = SavedModelRuntime(Path("models/stfn/1/saved_model.pb"))
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of


class SavedModelRuntime:
    """A loaded SavedModel; see `Runtime`.

    Args:
        path: Its `saved_model.pb`.
        name: Of the format.
        threads: Within an operation, and operations at a time, in the whole process;
            TensorFlow heeds it only before its first operation.

    Attributes:
        signatures: Every signature by name: `serving_default`, `serve_jpeg`,
            `features`, `fuse`.
    """

    def __init__(
        self, path: Path, name: str = "saved_model", threads: int | None = None
    ) -> None:
        if threads:
            with contextlib.suppress(RuntimeError):  # TensorFlow is already at work
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.name = name
        self._model = tf.saved_model.load(str(path.parent))  # holds the variables
        self.signatures = self._model.signatures
        self._call = self.signatures["serving_default"]
        specs = self._call.structured_input_signature[1]
        self.inputs: Inputs = {
            stream: tuple(specs[stream].shape[1:])
            for stream in ("rgb", "flow")
            if stream in specs
        }
        self.segments = segments_of(self.inputs)

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        check_views(views, self.inputs)
        given = {stream: tf.constant(views[stream]) for stream in self.inputs}
        return {key: value.numpy() for key, value in self._call(**given).items()}
