"""Moving weights: from files into towers, between models; and freezing them.

load_tower_weights(tower, "flow", config, "weights.h5")
freeze(tower, fraction=0.5, partial_batchnorm=True)

Every check comes before the first change, so an error leaves a model as it was.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import weight_files
from stfn_keras.models.inflation import inflated
from stfn_keras.models.lift import without_lifts
from stfn_keras.models.weight_files import Arrays, weighted_layers

Assignments = list[tuple[keras.layers.Layer, list[np.ndarray]]]


def load_tower_weights(
    tower: keras.Model, stream: str, config: ModelConfig, source: str | None
) -> None:
    """Set a tower's weights, all of them or none.

    For a tower that reads other channels than RGB's, the first kernel of RGB weights
    is averaged over its input channels and repeated (cross-modality initialisation;
    T: TSN); all other weights are copied. Weights that were saved from a tower of the
    same channels load as they are. A tower of clips takes the weights of its tower of
    images too, whose kernels are repeated over time (`models/inflation.py`). A lifted
    tower takes those of the plain one; what it has besides keeps its start.

    Args:
        tower: From `build_tower` or `lifted_tower`.
        stream: The stream of the tower.
        config: The configuration that the tower was built from.
        source: None or `none` keeps the random weights; `imagenet` downloads those
            of `keras.applications`, once; anything else is a file in Keras'
            weights format, `.weights.h5`, or the older one, `.h5`, that
            `keras.applications` is published in, without the classifier.

    Raises:
        UserError: The file is missing, is not of the format, or does not hold
            exactly the tower's layers in their shapes; or there are no ImageNet
            weights for the tower, or they cannot be downloaded.
    """
    if source is None or source == "none":
        return
    if source == "imagenet":
        arrays = weight_files.download(config.tower, tower)
        origin = "ImageNet weights"
    else:
        arrays = weight_files.read(Path(source), config.tower, tower)
        origin = source
    origin = f"{origin} for --tower={config.tower}"
    for layer, values in assignments(tower, arrays, stream, origin):
        layer.set_weights(values)


def copy_by_name(source: keras.Model, target: keras.Model) -> list[str]:
    """Copy the weights of every layer that both models have, by its name.

    A layer that wraps a model, such as a tower in `TimeDistributed`, is copied
    whole: the two inner models must have the same layers. Nothing is copied if
    anything does not fit.

    Args:
        source: The model to copy from; it may have other layers besides.
        target: The model to copy to; it may have other layers besides.

    Returns:
        The names of the layers copied, in the target's order.

    Raises:
        UserError: No layer has a counterpart, or one has another shape there.
    """
    sources = {layer.name: layer for layer in weighted_layers(source)}
    shared = [layer for layer in weighted_layers(target) if layer.name in sources]
    if not shared:
        raise UserError(
            f"Expected models that share layers; {source.name!r} and {target.name!r} "
            "share no layer with weights. Build both from the same configuration."
        )
    pairs = []
    for layer in shared:
        pairs += _pairs(sources[layer.name], layer)
    for ours, theirs in pairs:
        theirs.set_weights(ours.get_weights())
    return [layer.name for layer in shared]


def freeze(
    tower: keras.Model | Sequence[keras.layers.Layer],
    fraction: float,
    partial_batchnorm: bool,
) -> None:
    """Set which layers of a tower are trained; earlier calls are forgotten.

    A frozen batch normalisation also keeps its statistics, as in Keras.

    Args:
        tower: From `build_tower`; it may already be part of a network. Or its layers
            with weights, from its input on, as of `tower_layers`.
        fraction: How much of the tower stays as it is, 0 to 1, counted in layers
            with weights from the input on and rounded to whole layers. Lifts are not
            counted, and stay only where all of the tower does.
        partial_batchnorm: Freeze every batch normalisation but the first (T: TSN).

    Raises:
        UserError: The fraction is not within 0 to 1.
    """
    if not 0.0 <= fraction <= 1.0:
        raise UserError(
            f"The fraction of a tower to freeze must be 0 to 1. Received: {fraction}"
        )
    layers = list(tower) if isinstance(tower, Sequence) else weighted_layers(tower)
    if isinstance(tower, keras.Model):
        tower.trainable = True
    # Keras hands a model's flag on to its layers only where the flag changes.
    for layer in tower.layers if isinstance(tower, keras.Model) else tower:
        layer.trainable = True
    own = without_lifts(layers)
    for layer in layers if fraction == 1.0 else own[: round(fraction * len(own))]:
        layer.trainable = False
    if partial_batchnorm:
        norms = [
            layer
            for layer in layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        for layer in norms[1:]:
            layer.trainable = False


def set_batchnorm_momentum(
    layers: Iterable[keras.layers.Layer], momentum: float
) -> None:
    """Set the momentum of the batch normalisations that are trained; 0 leaves it.

    Keras' towers have 0.99: after 200 steps a seventh of the statistics is still that
    of the images which the weights came from.
    """
    for layer in layers if momentum else ():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            layer.momentum = momentum


def leaves(layer: keras.layers.Layer, path: str) -> dict[str, keras.layers.Layer]:
    """Return the layers with weights below a layer by path, wrappers seen through."""
    if isinstance(layer, keras.layers.Wrapper):
        return leaves(layer.layer, path)
    if not isinstance(layer, keras.Model):
        return {path: layer}
    found: dict[str, keras.layers.Layer] = {}
    for inner in weighted_layers(layer):
        found |= leaves(inner, f"{path}/{inner.name}")
    return found


def _pairs(source: keras.layers.Layer, target: keras.layers.Layer) -> list[tuple]:
    """Pair the layers below two layers of one name, or raise UserError."""
    sources = leaves(source, target.name)
    targets = leaves(target, target.name)
    if sources.keys() != targets.keys():
        odd = sorted(sources.keys() ^ targets.keys())
        raise UserError(
            f"Expected the same layers inside {target.name!r} of both models. Found in "
            f"one only: {_some(odd)}. Build both from the same configuration."
        )
    for path, layer in targets.items():
        expected, received = _shapes(layer.weights), _shapes(sources[path].weights)
        if expected != received:
            raise UserError(
                f"Expected weights of shapes {expected} for layer {path!r}. Received: "
                f"{received}. Build both models from the same configuration."
            )
    return [(sources[path], layer) for path, layer in targets.items()]


def assignments(
    tower: keras.Model, arrays: Arrays, stream: str, origin: str
) -> Assignments:
    """Give every layer of a tower its arrays, inflated and averaged where need be.

    Args:
        tower: From `build_tower`.
        arrays: By the keys of `weight_files`.
        stream: The stream of the tower.
        origin: What the message of an error begins with.

    Returns:
        Each layer with arrays of its shapes; none of them is set.

    Raises:
        UserError: These are not exactly the tower's layers in their shapes.
    """
    own = without_lifts(weighted_layers(tower))
    layers = dict(zip(weight_files.keys(tower), own, strict=True))
    missing, unknown = layers.keys() - arrays.keys(), arrays.keys() - layers.keys()
    if missing or unknown:
        raise UserError(
            f"{origin}: expected exactly the {len(layers)} layers of the tower, no "
            f"classifier. Missing: {_some(missing)}. Unknown: {_some(unknown)}. "
            "Check --tower against the file."
        )
    first = next(iter(layers))
    values = {key: inflated(arrays[key], layer) for key, layer in layers.items()}
    if stream != "rgb":
        values[first] = _cross_modality(values[first], layers[first])
    for key, layer in layers.items():
        expected, received = _shapes(layer.weights), _shapes(values[key])
        if expected != received:
            raise UserError(
                f"{origin}: expected arrays of shapes {expected} for layer {key} "
                f"({layer.name}). Received: {received}. Check --tower and --pairs "
                "against the file."
            )
    return [(layer, values[key]) for key, layer in layers.items()]


def _cross_modality(
    arrays: list[np.ndarray], layer: keras.layers.Layer
) -> list[np.ndarray]:
    """Make the first convolution's arrays fit other channels, if they are of RGB.

    The mean over the input channels is repeated, not rescaled: a flow stack whose
    channels are equal gives 2 * pairs / 3 times the response of a gray image.
    """
    channels = layer.kernel.shape[-2]
    kernel, *bias = arrays
    if kernel.ndim not in (4, 5) or kernel.shape[-2] != 3 or channels == 3:
        return arrays
    mean = kernel.mean(axis=-2, keepdims=True)
    return [np.repeat(mean, channels, axis=-2), *bias]


def _shapes(arrays: Any) -> list[tuple]:
    return [tuple(array.shape) for array in arrays]


def _some(names: Any) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or "none"
