"""A network by its name: from pixels, or above its towers from their features.

model = build(ModelConfig(tower="tiny"), classes=10)
model({"rgb": ..., "flow": ...})["scores"]  # (batch, 10)

Inputs are uint8; all scaling happens inside the towers. `config/networks.py` names the
module that builds a network. It holds

- `build(config, classes)`;
- `build_head(config, classes, features)`, where what stands above the towers reads
  their pooled features alone;
- `take_towers(network, towers)`, where trained towers are not found by the layers'
  names alone;
- `tower_layers(network, stream)`, where the towers are linked layer by layer;
- `initialise(network, batches, seed)`, where new layers start from what the towers see;
- `check(config)`, where it needs a package or a tower that not every network needs.

A tower that is used whole is the layer `rgb_features` or `flow_features`. Where towers
are linked layer by layer, each of their layers is named `rgb_` or `flow_` and its name
in the tower.
"""

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import keras

from stfn_keras.config import NETWORKS, ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.fusion import SpatioTemporalFusion
from stfn_keras.models.lifted_tower import check_lift
from stfn_keras.models.towers import check_clips
from stfn_keras.models.weight_files import weighted_layers
from stfn_keras.models.weights import copy_by_name


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build a network from pixels to scores, with random weights.

    Args:
        config: Which network, tower, sizes and fusion.
        classes: How many classes to tell apart.

    Returns:
        A functional model. Its inputs are a dictionary of `rgb`, uint8
        `(batch, segments, size, size, 3 * frames)`, and `flow`, uint8
        `(batch, segments, size, size, 2 * pairs)` with 128 for no motion, as far
        as the network reads them. Its outputs are a dictionary of `logits` and
        `scores`, float32 `(batch, classes)`, and `rgb_logits`, `flow_logits` ...
        where each stream has a classifier of its own.

    Raises:
        UserError: The tower cannot take an input of the configured size, or is not
            one that the network can be built of.
    """
    check_clips(config)
    return _module(config).build(config, classes)


def build_head(config: ModelConfig, classes: int, features: int) -> keras.Model:
    """Build the same network without its towers, for cached features.

    Layers have the same names as in `build`, so `copy_by_name` moves the weights.

    Args:
        config: Which network and fusion.
        classes: How many classes to tell apart.
        features: Length of the towers' feature vectors.

    Returns:
        A functional model. Its inputs are a dictionary of `rgb_features` and
        `flow_features`, float32 `(batch, segments, features)`, as far as the
        network reads them; its outputs are those of `build`.

    Raises:
        UserError: The network reads more of its towers than their pooled features.
    """
    if not config.has_head:
        known = ", ".join(name for name, entry in NETWORKS.items() if entry.pooled)
        raise UserError(
            "expected a network above pooled features, which can be taken apart from "
            f"its towers: {known}. Received: --network={config.network}"
        )
    return _module(config).build_head(config, classes, features)


def take_towers(
    config: ModelConfig, network: keras.Model, towers: Mapping[str, keras.Model]
) -> None:
    """Start a network from trained towers.

    Args:
        config: What the network was built from.
        network: From `build`.
        towers: By stream, the network of that stream alone that trained it.

    Raises:
        UserError: Layers of one name have other shapes.
    """
    if take := getattr(_module(config), "take_towers", None):
        take(network, towers)
        return
    for tower in towers.values():
        copy_by_name(tower, network)


def tower_layers(
    config: ModelConfig, network: keras.Model, stream: str
) -> list[keras.layers.Layer]:
    """The layers of a stream's tower that have weights, from its input on.

    Args:
        config: What the network was built from.
        network: From `build`.
        stream: One of the network's.
    """
    if layers := getattr(_module(config), "tower_layers", None):
        return layers(network, stream)
    return weighted_layers(network.get_layer(f"{stream}_features").layer)


def initialise(
    config: ModelConfig,
    network: keras.Model,
    batches: Iterable[Mapping[str, Any]],
    seed: int,
) -> None:
    """Start the new layers from what trained towers see, where a network asks for it.

    Args:
        config: What the network was built from.
        network: From `build`, its towers trained.
        batches: Inputs of training videos, as `build` takes them; read as far as
            they are needed, or not at all.
        seed: Of what is drawn from them.

    Raises:
        UserError: A library that it needs is not installed.
    """
    if start := getattr(_module(config), "initialise", None):
        start(network, batches, seed)


def endpoints(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Name the tensors inside a network that one may want to look at.

    They are, as far as the network has them, `rgb_features` and `flow_features`
    (the towers' outputs), `rgb_norm`, `rgb_motion_gate`, `rgb_position` ...,
    `rgb_dynamics` and `flow_dynamics`, `fusion_1_rgb`, `fusion_1_flow` ..., `fused`,
    `rgb_pooled`, `rgb_logits` ..., `logits` and `scores`.

    Args:
        model: From `build` or `build_head`, also when loaded from a file.

    Returns:
        Symbolic tensors of the model's graph, in its order.
    """
    points = {}
    for layer in model.layers:
        if isinstance(layer, SpatioTemporalFusion):
            points[f"{layer.name}_rgb"], points[f"{layer.name}_flow"] = layer.output
        elif layer.name not in ("rgb", "flow", "modality_dropout"):
            points[layer.name] = layer.output
    return points


def check(config: ModelConfig) -> None:
    """Refuse what a network cannot be built of, before its towers are trained.

    Raises:
        UserError: Its towers or options do not fit, or a package is not installed.
    """
    check_clips(config)
    check_lift(config)
    if refuse := getattr(_module(config), "check", None):
        refuse(config)


def _module(config: ModelConfig) -> ModuleType:
    return importlib.import_module(NETWORKS[config.network].module)
