"""Find the residual blocks of a tower, and put new layers into them.

blocks = residual_blocks(tower)  # [ResidualBlock("conv2_block1", ...), ...]
shifted = insert(tower, {block.first: make_layer(block) for block in blocks})
"""

from collections.abc import Mapping
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
        raise UserError(
            f"--{flag} goes into residual blocks: expected --tower to be one of "
            f"{', '.join(ACCEPTED)}. Received: the tower {tower.name!r} without such "
            "blocks"
        )
    return blocks


def insert(tower: keras.Model, before: Mapping[str, keras.layers.Layer]) -> keras.Model:
    """Copy a tower, weights and names and all, with new layers in it.

    Args:
        tower: From `build_tower`, or a copy by this function. It stays as it is.
        before: New layers by the name of the layer that each is put before.

    Returns:
        A model of the same name, inputs and outputs.
    """

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer.name in before:
            first, *others = args
            args = (before[layer.name](first), *others)
        return layer(*args, **kwargs)

    # As `build_tower`: the variables of both streams' towers differ by their path.
    with keras.name_scope(tower.name):
        model = keras.models.clone_model(tower, call_function=call)
    copies = {layer.name: layer for layer in model.layers}
    for layer in weighted_layers(tower):
        copies[layer.name].set_weights(layer.get_weights())
    return model
