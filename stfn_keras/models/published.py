"""Towers and networks from the variables of published TensorFlow checkpoints.

classifier = load_tower_variables(tower, "rgb", variables, "rgb/model.ckpt")
load_kinetics(network, {"rgb": rgb_variables, "flow": flow_variables})

Reading the files takes TensorFlow, so that it is done elsewhere
(`training/tf_checkpoint.py`); `models/checkpoint_names.py` knows the names.
"""

from collections.abc import Mapping

import keras
import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.models import weight_files
from stfn_keras.models.checkpoint_names import Variables, by_layer
from stfn_keras.models.lift import without_lifts
from stfn_keras.models.weights import Assignments, assignments


def load_tower_variables(
    tower: keras.Model, stream: str, variables: Variables, origin: str
) -> list[np.ndarray]:
    """Set a tower's weights, all of them or none.

    Kernels of images are inflated for a tower of clips, and the first kernel of RGB
    is averaged over its channels and repeated for other ones, as `load_tower_weights`
    does.

    Args:
        tower: From `build_tower`, of Inception-v1 or I3D.
        stream: The stream of the tower.
        variables: The checkpoint's, by name.
        origin: What the message of an error begins with.

    Returns:
        The checkpoint's classifier, which the tower does not take: a kernel
        `(1024, classes)` and a bias `(classes,)`; empty if it has none.

    Raises:
        UserError: The variables are not exactly the tower's in their shapes.
    """
    pairs, classifier = _pairs(tower, stream, variables, origin)
    for layer, arrays in pairs:
        layer.set_weights(arrays)
    return classifier


def load_kinetics(network: keras.Model, variables: Mapping[str, Variables]) -> None:
    """Set a whole network of independent clips, its classifiers too.

    It then gives the scores that were published with the checkpoints; DeepMind adds
    the logits of both streams, which are averaged here.

    Args:
        network: From `build`, of `--network=i3d`, `spatial` or `temporal` and
            `--tower=i3d`, with as many classes as the checkpoints: 400.
        variables: By stream, those of its checkpoint.

    Raises:
        UserError: The variables are not exactly the network's in their shapes; then
            none of it is changed.
    """
    pairs: Assignments = []
    for stream, own in variables.items():
        tower, head = (
            network.get_layer(f"{stream}_features").layer,
            network.get_layer(f"{stream}_logits"),
        )
        found, classifier = _pairs(tower, stream, own, f"the {stream} checkpoint")
        expected = [tuple(weight.shape) for weight in head.weights]
        received = [array.shape for array in classifier]
        if expected != received:
            raise UserError(
                f"the {stream} checkpoint: expected a classifier of shapes {expected}. "
                f"Received: {received or 'none'}. Build the network of the "
                "checkpoint's classes, with --tower=i3d"
            )
        pairs += [*found, (head, classifier)]
    for layer, arrays in pairs:
        layer.set_weights(arrays)


def _pairs(
    tower: keras.Model, stream: str, variables: Variables, origin: str
) -> tuple[Assignments, list[np.ndarray]]:
    found = by_layer(variables, tower, origin)
    layers = without_lifts(weight_files.weighted_layers(tower))
    order = zip(weight_files.keys(tower), layers, strict=True)
    arrays = {key: found.arrays[layer.name] for key, layer in order}
    return assignments(tower, arrays, stream, origin), found.classifier
