"""The SavedModel, run by TensorFlow.

runtime = load("saved_model", Path("models/stfn/1"), {})
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

    Attributes:
        signatures: Every signature by name: `serving_default`, `serve_jpeg`,
            `features`, `fuse`.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._model = tf.saved_model.load(str(folder))  # holds the variables
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


def load(
    name: str, path: Path, inputs: Inputs, threads: int | None = None
) -> SavedModelRuntime:
    """Load the SavedModel of a version folder.

    Args:
        name: Of the format.
        path: The folder.
        inputs: Not read: the signature says them.
        threads: Within an operation and of operations at a time, for the whole process;
            TensorFlow heeds it only before its first operation.
    """
    if threads:
        with contextlib.suppress(RuntimeError):  # already running
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    return SavedModelRuntime(name, path)
