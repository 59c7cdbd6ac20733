"""ST-Multiplier: two ResNets, motion gating appearance, convolutions over time added.

T: Feichtenhofer, Pinz and Wildes, "Spatiotemporal multiplier networks for video
action recognition", 2017. What is taken from it: docs/models/st_multiplier.md.
"""

import re

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.models import linked_resnets
from stfn_keras.models.linked_resnets import check, take_towers, tower_layers
from stfn_keras.models.temporal_convolution import TemporalConvolution

__all__ = ["build", "check", "take_towers", "tower_layers"]

# The 3 x 3 convolution of the second residual unit of each stage, in both streams.
FOLLOWED = re.compile(r"(conv[2-5]_block2)_2_conv")


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build ST-Multiplier; see `models.build`.

    Links multiply what the residual branch of appearance reads by motion, element by
    element. Behind the 3 x 3 convolution of each stage's second unit stands a
    3 x 1 x 1 one, `rgb_time_conv2_block2` ..., that starts as the identity. It stands
    before batch normalisation and ReLU (C): these go on seeing what they were trained
    on, and whatever scale the new convolution learns is normalised.

    Raises:
        UserError: The towers are not ResNets of one input size.
    """
    return linked_resnets.build(config, classes, keras.layers.Multiply, stand_in)


def stand_in(
    layer: keras.layers.Layer, name: str, segments: int
) -> list[keras.layers.Layer]:
    """Give the layer under its new name, and a convolution over time behind some."""
    layers = linked_resnets.renamed(layer, name, segments)
    if match := FOLLOWED.fullmatch(layer.name):
        stream = name.removesuffix(f"_{layer.name}")
        layers.append(
            TemporalConvolution(
                layer.filters,
                segments,
                "identity",
                dtype=layer.dtype_policy,
                name=f"{stream}_time_{match[1]}",
            )
        )
    return layers
