"""Reading a tower's weights from files and from `keras.applications`.

arrays = read(Path("resnet50.weights.h5"), "resnet50", tower)
arrays["conv2d:0"]  # [kernel, bias] of the tower's first Conv2D

Layers are told apart by kind and count, as `.weights.h5` files name them: such a file
knows `conv2d_3` as the fourth Conv2D of the model, whatever the layer is called. A
layer inside another model is `sequential:1/conv2d:0`.
"""

import collections
import re
from pathlib import Path

import h5py
import keras
import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.models.inflation import Arrays, keys_of_clips
from stfn_keras.models.lift import without_lifts
from stfn_keras.models.towers import TOWERS


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model that have weights, from the input on."""
    return [layer for layer in model.layers if layer.weights]


def keys(model: keras.Model) -> list[str]:
    """Name the layers that hold a plain model's weights, from the input on."""
    return [key for key, _ in _leaves(model)]


def download(name: str, tower: keras.Model) -> Arrays:
    """Return a tower's ImageNet weights, which Keras fetches once, to its own cache.

    Raises:
        UserError: Keras has none for the tower, or they cannot be downloaded.
    """
    application = TOWERS[name].application
    if application is None:
        raise UserError(
            f"Keras has no ImageNet weights for --tower={name}; give a local file: "
            "--rgb_weights=FILE.weights.h5, or --rgb_weights=none to train from scratch"
        )
    try:
        model = application(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras raises Exception itself where a fetch fails.
        raise UserError(
            f"The ImageNet weights for --tower={name} could not be downloaded "
            f"({_line(error)}). Give a local file instead: --rgb_weights=FILE"
        ) from error
    arrays = {key: layer.get_weights() for key, layer in _leaves(model)}
    if TOWERS[name].flat:
        return _in_order(list(arrays.values()), tower)
    return keys_of_clips(arrays, tower)


def read(path: Path, name: str, tower: keras.Model) -> Arrays:
    """Return the weights in a file, `.weights.h5` or the older `.h5`.

    Args:
        path: The file.
        name: The tower's name in `TOWERS`.
        tower: From `build_tower`; its layers give the order where names do not.

    Raises:
        UserError: There is no such file, or it is not whole, or not of a format.
    """
    if not path.is_file():
        raise UserError(f"Expected a weights file. There is none at: {path}")
    try:
        with h5py.File(path, "r") as file:
            if "layers" in file:
                arrays = _of_application(_read_layers(file["layers"]), name, tower)
                return keys_of_clips(arrays, tower)
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _read_older(group, path, name, tower)
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"Expected a Keras weights file (.weights.h5), readable and whole. "
            f"Received: {path} ({_line(error)})"
        ) from error
    raise UserError(
        "Expected a Keras weights file (.weights.h5) with the layers of one tower. "
        f"Received: {path}, an HDF5 file without them"
    )


def _leaves(model: keras.Model, prefix: str = "") -> list[tuple[str, keras.Layer]]:
    """Give each layer that holds weights itself its key, models seen through.

    Lifts are passed over: files are of plain towers.
    """
    counts: collections.Counter = collections.Counter()
    leaves = []
    for layer in without_lifts(weighted_layers(model)):
        kind = type(layer).__name__.lower()
        key = f"{prefix}{kind}:{counts[kind]}"
        counts[kind] += 1
        if isinstance(layer, keras.Model):
            leaves += _leaves(layer, f"{key}/")
        else:
            leaves.append((key, layer))
    return leaves


def _read_layers(group: h5py.Group, prefix: str = "") -> Arrays:
    """Read the groups of a `.weights.h5` file, those inside others too."""
    arrays: Arrays = {}
    for name, layer in group.items():
        key = f"{prefix}{_key(name)}"
        if len(layer.get("vars", ())):
            arrays[key] = [layer["vars"][i][()] for i in _ordered(layer["vars"])]
        if "layers" in layer:
            arrays |= _read_layers(layer["layers"], f"{key}/")
    return arrays


def _of_application(arrays: Arrays, name: str, tower: keras.Model) -> Arrays:
    """Give a file of Keras' own model the keys of a tower that is built flat."""
    if not TOWERS[name].flat or not any("/" in key for key in arrays):
        return arrays
    application = TOWERS[name].application
    if application is None:
        return arrays
    shape = (TOWERS[name].minimum, TOWERS[name].minimum, 3)
    order = keys(application(include_top=False, weights=None, input_shape=shape))
    if set(order) != set(arrays):
        return arrays  # and let the caller say what is missing
    return _in_order([arrays[key] for key in order], tower)


def _read_older(group: h5py.Group, path: Path, name: str, tower: keras.Model) -> Arrays:
    """Return the weights of the format that names its layers in an attribute.

    The names say little (Inception-v3's are automatic), so order decides, as in
    Keras.
    """
    layers = []
    for layer_name in group.attrs["layer_names"]:
        layer = group[layer_name]
        arrays = [layer[weight][()] for weight in layer.attrs["weight_names"]]
        if arrays:
            layers.append(arrays)
    expected = keys(tower)
    if TOWERS[name].flat:
        layers = _split([array for arrays in layers for array in arrays], tower)
    if len(layers) != len(expected):
        raise UserError(
            f"Expected {len(expected)} layers with weights for the tower, without a "
            f"classifier. Received: {path} with {len(layers)}"
        )
    return _in_order(layers, tower)


def _split(arrays: list[np.ndarray], tower: keras.Model) -> list[list[np.ndarray]]:
    """Deal arrays out to a tower's layers; what is left over makes a layer more."""
    layers = []
    for layer in without_lifts(weighted_layers(tower)):
        count = len(layer.weights)
        layers.append(arrays[:count])
        arrays = arrays[count:]
    return [layer for layer in [*layers, arrays] if layer]


def _in_order(layers: list[list[np.ndarray]], tower: keras.Model) -> Arrays:
    """Give the n-th arrays to the n-th layer of a tower.

    Keras' ConvNeXt has grouped convolutions where the tower has depthwise ones.
    """
    arrays: Arrays = {}
    for (key, layer), values in zip(_leaves(tower), layers, strict=True):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        if depthwise and values[0].ndim == 4 and values[0].shape[2] == 1:
            kernel, *rest = values
            values = [np.swapaxes(kernel, 2, 3), *rest]
        arrays[key] = values
    return arrays


def _key(name: str) -> str:
    """Turn a file's `batch_normalization_3` into the form of `keys`."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    kind, number = match.groups() if match else (name, None)
    return f"{kind.replace('_', '')}:{number or 0}"


def _ordered(group: h5py.Group) -> list[str]:
    return sorted(group, key=int)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
