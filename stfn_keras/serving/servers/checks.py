"""Refuse a request with the name of the input that is wrong.

    check_request({"rgb_jpeg": array}, specs)  # Refused: flow_jpeg is missing: ...
    graph_words(error.message)  # "rgb_jpeg: expected JPEG images"

Here is what a server must settle before the graph runs; values, images and whether
batches agree are checked by the exported graph itself (`stfn_keras.exporting.guards`).
"""

import re
from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

Arrays = Mapping[str, np.ndarray]
Specs = Mapping[str, tf.TensorSpec]

_ASSERTED = re.compile(r"assertion failed: \[(.+?)\.?\s*\]")
_UNDECODABLE = re.compile(r"\{\{node (?:\S+/)?(\w+_jpeg)\}\}")
_NOISE = ("Graph execution error", "Detected at node", "<stack traces", "\t [[")


class Refused(ValueError):
    """A request that cannot be answered; the message begins with its input's name."""


def check_request(inputs: Arrays, specs: Specs) -> None:
    """Refuse inputs that a signature does not take.

    Args:
        inputs: By name; strings are arrays of `object` that hold bytes.
        specs: Of the signature's inputs.

    Raises:
        Refused: An input is missing or unknown, or has the wrong type or shape.
    """
    check_names(inputs, specs)
    for name, spec in specs.items():
        array = inputs[name]
        kind = "string" if array.dtype == object else array.dtype.name
        if kind != spec.dtype.name or not spec.shape.is_compatible_with(array.shape):
            raise Refused(
                f"{name} must be {describe(spec)}. Received: {kind} {array.shape}"
            )


def check_names(inputs: Collection[str], specs: Specs) -> None:
    """Refuse names that are not those of a signature's inputs; see `check_request`."""
    names = ", ".join(specs)
    for name in specs:
        if name not in inputs:
            raise Refused(f"{name} is missing: expected {names}")
    for name in inputs:
        if name not in specs:
            raise Refused(f"{name} is no input of this signature: expected {names}")


def describe(spec: tf.TensorSpec) -> str:
    """A type and shape in words: `uint8 (batch, 7, 224, 224, 3)`."""
    sides = ", ".join(str(side) for side in spec.shape[1:])
    return f"{spec.dtype.name} (batch, {sides})"


def graph_words(message: str) -> str:
    """What a graph's error says, without where in the graph it was."""
    if asserted := _ASSERTED.search(message):
        return asserted[1].replace("\\'", "'")
    if undecodable := _UNDECODABLE.search(message):
        return f"{undecodable[1]}: expected whole JPEG images. One does not decode"
    lines = [line for line in message.splitlines() if not line.startswith(_NOISE)]
    return " ".join(lines).strip() or message
