"""An exported model as a server holds it: checked requests in, answers out.

    served = ServedModel(Path("models/stfn"))
    served.answer("serve_jpeg", {"rgb_jpeg": ..., "flow_jpeg": ...})["labels"]

Each request is run by itself, so no request can fail another or change its scores.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from stfn_keras.serving.folder import (
    check_digests,
    is_version,
    newest_version,
    read_config,
)
from stfn_keras.serving.servers.checks import Refused, check_request, graph_words

DEFAULT_SIGNATURE = "serving_default"  # where a request names none


class ServedModel:
    """A loaded version of a model.

    Args:
        model: `models/NAME`, whose newest version is taken, or one version.

    Attributes:
        folder: Of the version.
        inputs: Specs of each signature's inputs, by signature and name.
        outputs: Likewise of its outputs.

    Raises:
        UserError: There is no model of ours, or a file of it is damaged.
    """

    def __init__(self, model: Path) -> None:
        self.folder = newest_version(model)
        check_digests(self.folder, read_config(self.folder), "saved_model")
        self._model = tf.saved_model.load(str(self.folder))  # holds the variables
        self._signatures = dict(self._model.signatures)
        self.inputs: dict[str, dict[str, tf.TensorSpec]] = {
            name: signature.structured_input_signature[1]
            for name, signature in self._signatures.items()
        }
        self.outputs: dict[str, dict[str, tf.TensorSpec]] = {
            name: signature.structured_outputs
            for name, signature in self._signatures.items()
        }

    @property
    def name(self) -> str:
        """Of the model: that of the folder which holds its versions, or of its link."""
        return Path(os.path.abspath(self.folder)).parent.name

    @property
    def version(self) -> int | None:
        """Its number; None for a folder that is not called by one."""
        name = Path(os.path.abspath(self.folder)).name
        return int(name) if is_version(name) else None

    def specs(self, signature: Any) -> dict[str, tf.TensorSpec]:
        """The inputs of a signature.

        Raises:
            Refused: There is none of that name.
        """
        if not isinstance(signature, str) or signature not in self.inputs:
            raise Refused(
                f"signature_name must be one of {', '.join(self.inputs)}. "
                f"Received: {signature!r}"
            )
        return self.inputs[signature]

    def answer(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run one request.

        Args:
            signature: `serving_default`, `serve_jpeg`, `features` or `fuse`.
            inputs: By name, as the signature says; strings as arrays of `object`.

        Returns:
            The signature's outputs; strings as arrays of `object` that hold bytes.

        Raises:
            Refused: The request cannot be answered, and which input is why.
        """
        specs = self.specs(signature)
        check_request(inputs, specs)
        tensors = {
            name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()
        }
        try:
            found = self._signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise Refused(graph_words(error.message)) from error
        return {name: tensor.numpy() for name, tensor in found.items()}
