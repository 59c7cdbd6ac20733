"""Find the residual blocks of a tower, and put new layers into them.

blocks = residual_blocks(tower)  # [ResidualBlock("conv2_block1", ...), ...]
shifted = insert(tower, {block.first: make_layer(block) for block in blocks})
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from stfn_keras.errors import UserError
from stfn_keras.models.weight_files import weighted_layers

ACCEPTED = ("resnet50", "resnet101", "resnet152", "mobilenet_v2", "efficientnet_lite0")
# How the first convolution of a block is called, and the one that filters positions.
CONVOLUTIONS = (
    ("_1_conv", "_2_conv"),
    ("_expand", "_depthwise"),
    ("_expand_conv", "_dw_conv"),
)


@dataclass(frozen=True)
class ResidualBlock:
    """Part of a tower whose output is added to its input.

    Attributes:
        name: As its layers' names begin.
        first: The name of the first convolution behind the shortcut's branching off.
        second: The name of the convolution behind that, which filters positions.
    """

    name: str
    first: str
    second: str


def residual_blocks(tower: keras.Model, flag: str) -> list[ResidualBlock]:
    """Return a tower's residual blocks, from the input on.

    Args:
        tower: From `build_tower`.
        flag: The option that needs them, for the message.

    Raises:
        UserError: The tower is not one whose blocks are known.
    """
    names = [layer.name for layer in tower.layers]
    sums = [
        layer.name.removesuffix("_add")
        for layer in tower.layers
        if isinstance(layer, keras.layers.Add)
    ]
    blocks = [
        ResidualBlock(block, block + first, block + second)
        for block in sums
        for first, second in CONVOLUTIONS
        if block + first in names and block + second in names
    ]
    if not blocks or len(blocks) < len(sums):
        raise no_blocks(flag, f"the tower {tower.name!r} without such blocks")
    return blocks


def no_blocks(flag: str, received: str) -> UserError:
    """The error that a tower has no residual blocks for an option."""
    return UserError(
        f"--{flag} goes into residual blocks: expected --tower to be one of "
        f"{', '.join(ACCEPTED)}. Received: {received}"
    )


def insert(
    tower: keras.Model,
    before: Mapping[str, Callable[[Any], Any]],
    after: Mapping[str, Callable[[Any], Any]] | None = None,
    inputs: keras.KerasTensor | None = None,
) -> keras.Model:
    """Copy a tower, weights and names and all, with new layers in it.

    Args:
        tower: From `build_tower`, or a copy by this function. It stays as it is.
        before: New layers by the name of the layer that each is put before.
        after: New layers by the name of the layer whose output each stands behind,
            whatever reads it.
        inputs: What the copy reads, where new layers read it too.

    Returns:
        A model of the same name, inputs and outputs.
    """
    behind = after or {}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer.name in before:
            first, *others = args
            args = (before[layer.name](first), *others)
        output = layer(*args, **kwargs)
        return behind[layer.name](output) if layer.name in behind else output

    # As `build_tower`: the variables of both streams' towers differ by their path.
    with keras.name_scope(tower.name):
        model = keras.models.clone_model(tower, inputs, call_function=call)
    copies = {layer.name: layer for layer in model.layers}
    for layer in weighted_layers(tower):
        copies[layer.name].set_weights(layer.get_weights())
    return model
