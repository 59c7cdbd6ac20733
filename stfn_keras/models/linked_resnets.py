"""Two ResNets wired into one graph, whose motion stream feeds the appearance stream.

network = build(config, classes, keras.layers.Add, stand_in)
take_towers(network, {"rgb": spatial_network, "flow": temporal_network})
tower_layers(network, "flow")  # the layers that stand for the flow tower

The first residual unit of each of the four stages of both streams is followed by a link
(T: ST-ResNet and ST-Multiplier, Feichtenhofer et al. 2016 and 2017):

    x_{l+1} = relu(x_l) + F(x_l + relu(m_l))

x_l is the appearance unit's sum before its ReLU, m_l the motion unit's; the link feeds
the residual branch F of the second unit alone, and the shortcut stays unfused. Nothing
flows back into motion.

A ResNet is not written again: the layers are those of `build_tower`, made anew from
their configurations on folded images, each named `<stream>_<its name in the tower>`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.fold_time import FoldTime
from stfn_keras.models.networks.ends import classified, pixel_inputs, scored
from stfn_keras.models.temporal_convolution import TemporalConvolution, inflate
from stfn_keras.models.temporal_max_pooling import TemporalMaxPooling
from stfn_keras.models.towers import build_tower, input_size
from stfn_keras.models.weight_files import weighted_layers

RESNETS = ("resnet50", "resnet101", "resnet152")
LINKED = re.compile(r"(conv[2-5])_block2_1_conv")  # where a link feeds appearance
OWN = re.compile(r"preprocess|conv[1-5]_.*|pool1_.*")  # the towers' layers, by name

Taps = dict[str, keras.KerasTensor]
# From a tower's layer, its new name and the segments to the layers in its place.
StandIn = Callable[[keras.layers.Layer, str, int], list[keras.layers.Layer]]


def build(
    config: ModelConfig,
    classes: int,
    join: type[keras.layers.Layer],
    stand_in: StandIn,
) -> keras.Model:
    """Build the two linked streams from pixels to scores, with random weights.

    Behind the last maps stand a maximum over windows of 5 segments, 2 apart, the
    mean over positions and windows, dropout and each stream's own classifier.

    Args:
        config: Its tower must be one of `RESNETS`, of one input size.
        classes: How many classes to tell apart.
        join: Joins appearance and motion in a link: `Add` or `Multiply`.
        stand_in: What stands for each layer of a tower; see `renamed`.

    Returns:
        A model as `models.build` gives it, with both streams' logits.

    Raises:
        UserError: The towers cannot be linked: not ResNets, or of two input sizes,
            or with options that are for towers of their own.
    """
    check(config)
    inputs = pixel_inputs(config)
    folded = {
        stream: FoldTime(name=f"{stream}_folded")(tensor)
        for stream, tensor in inputs.items()
    }
    towers = {stream: build_tower(config, stream) for stream in inputs}
    maps = link(towers, folded, config.segments, join, stand_in)
    heads = {}
    for stream, x in maps.items():
        x = TemporalMaxPooling(config.segments, name=f"{stream}_time_pool")(x)
        x = keras.layers.GlobalAveragePooling2D(
            dtype="float32", name=f"{stream}_pooled"
        )(x)
        heads[stream] = classified(config, classes, x, stream)
    return keras.Model(inputs, scored(config, heads), name=config.network)


def link(
    towers: Mapping[str, keras.Model],
    images: Mapping[str, keras.KerasTensor],
    segments: int,
    join: type[keras.layers.Layer],
    stand_in: StandIn,
) -> Taps:
    """Wire two towers into one graph, up to their maps before the global pooling.

    Args:
        towers: `rgb` and `flow`, graphs whose layers have the names of a ResNet's.
        images: What they read, `(batch * segments, height, width, channels)`.
        segments: How many images make a video.
        join: Joins appearance and motion in a link.
        stand_in: What stands for each layer of a tower.

    Returns:
        The last maps of both streams.
    """
    motion = _rewire(towers["flow"], images["flow"], "flow", segments, stand_in, {})
    links = {
        match[0]: (join, match[1], motion[f"{match[1]}_block1_out"])
        for layer in towers["rgb"].layers
        if (match := LINKED.fullmatch(layer.name))
    }
    appearance = _rewire(towers["rgb"], images["rgb"], "rgb", segments, stand_in, links)
    return {"rgb": appearance["maps"], "flow": motion["maps"]}


def renamed(
    layer: keras.layers.Layer, name: str, segments: int
) -> list[keras.layers.Layer]:
    """The plain `stand_in`: the same layer under its new name, with other weights."""
    return [type(layer).from_config({**layer.get_config(), "name": name})]


def take_towers(network: keras.Model, towers: Mapping[str, keras.Model]) -> None:
    """Copy trained towers and their classifiers into the streams that came from them.

    A 1 x 1 kernel whose layer became a temporal convolution is spread over its three
    segments, a third each. Layers that the towers lack stay as they are.

    Args:
        network: From `build`.
        towers: The trained `spatial` network as `rgb`, `temporal` as `flow`, or one.

    Raises:
        UserError: A layer is missing, or of another shape. Then nothing is copied.
    """
    pairs: list[tuple[Any, list[np.ndarray]]] = []
    known = {layer.name: layer for layer in network.layers}
    for stream, source in towers.items():
        tower = source.get_layer(f"{stream}_features").layer
        layers = {f"{stream}_{layer.name}": layer for layer in weighted_layers(tower)}
        layers[f"{stream}_logits"] = source.get_layer(f"{stream}_logits")
        for name, layer in layers.items():
            pairs.append((known.get(name), _fitting(layer, known.get(name), name)))
    for target, arrays in pairs:
        target.set_weights(arrays)


def tower_layers(network: keras.Model, stream: str) -> list[keras.layers.Layer]:
    """Return the layers with weights of a stream's tower, from the input on.

    They are those that `freeze` counts in a tower of its own, temporal convolutions
    in the place of 1 x 1 ones among them. Links, injected convolutions, pooling and
    classifier are not of the tower.

    Args:
        network: From `build`, also when loaded from a file.
        stream: `rgb` or `flow`.

    Returns:
        The layers; none where the network's towers are not linked layer by layer.
    """
    prefix = f"{stream}_"
    return [
        layer
        for layer in network.layers
        if layer.weights
        and layer.name.startswith(prefix)
        and OWN.fullmatch(layer.name.removeprefix(prefix))
    ]


def _rewire(
    tower: keras.Model,
    images: keras.KerasTensor,
    stream: str,
    segments: int,
    stand_in: StandIn,
    links: Mapping[str, tuple],
) -> Taps:
    """Build a tower's layers anew; returns their outputs, and the last as `maps`.

    Links stand by the name of the layer that each feeds: how to join, the stage, and
    the other stream's tensor.
    """
    taps: Taps = {}
    tensors = {id(tower.inputs[0]): images}
    x = images
    for layer in tower.operations:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.layers.GlobalAveragePooling2D):
            break
        inputs = keras.tree.map_structure(lambda t: tensors[id(t)], layer.input)
        if layer.name in links:
            join, stage, other = links[layer.name]
            unit = taps[f"{stage}_block1_add"]
            inputs = join(name=f"link_{stage}")([unit, other])
        x = inputs
        for part in stand_in(layer, f"{stream}_{layer.name}", segments):
            x = part(x)
        taps[layer.name] = tensors[id(layer.output)] = x
    return {**taps, "maps": x}


def check(config: ModelConfig) -> None:
    """Refuse towers that cannot be linked, before any of them is trained.

    Raises:
        UserError: They are no ResNets of one input size; or an option is set that
            the network has no place for.
    """
    if config.tower not in RESNETS:
        raise UserError(
            f"--network={config.network} links the stages of two ResNets: expected "
            f"--tower to be one of {', '.join(RESNETS)}. Received: {config.tower}"
        )
    sizes = {stream: input_size(config, stream) for stream in config.streams}
    if len(set(sizes.values())) > 1:
        raise UserError(
            f"--network={config.network} joins the maps of both streams: expected one "
            f"input size; leave --flow_size at 0. Received: {sizes['rgb']} pixels of "
            f"RGB, {sizes['flow']} of flow"
        )
    # Its own convolutions over time stand where these options would.
    for name in ("rgb_motion", "feature_motion"):
        if (value := getattr(config, name)) != "none":
            raise UserError(
                f"--network={config.network} mixes segments by itself: expected no "
                f"--{name}. Received: --{name}={value}"
            )


def _fitting(
    layer: keras.layers.Layer, target: keras.layers.Layer | None, name: str
) -> list[np.ndarray]:
    """Return a trained layer's weights in the shapes of the layer that takes them."""
    arrays = layer.get_weights()
    if isinstance(target, TemporalConvolution) and arrays[0].ndim == 4:
        arrays = [inflate(arrays[0]), *arrays[1:]]
    expected = None if target is None else [tuple(w.shape) for w in target.weights]
    received = [array.shape for array in arrays]
    if expected != received:
        raise UserError(
            f"Expected weights of shapes {expected} for layer {name!r}. Received: "
            f"{received}. Build network and towers from the same configuration."
        )
    return arrays
