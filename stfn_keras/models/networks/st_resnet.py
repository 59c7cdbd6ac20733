"""ST-ResNet: two ResNets with additive links and convolutions over time.

T: Feichtenhofer, Pinz and Wildes, "Spatiotemporal residual networks for video action
recognition", 2016. What is taken from it: docs/models/st_resnet.md.
"""

import re

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.models import linked_resnets
from stfn_keras.models.linked_resnets import check, take_towers, tower_layers
from stfn_keras.models.temporal_convolution import TemporalConvolution

__all__ = ["build", "check", "take_towers", "tower_layers"]

# Both 1 x 1 convolutions of the second residual unit of each stage, in both streams.
INFLATED = re.compile(r"conv[2-5]_block2_[13]_conv")


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build ST-ResNet; see `models.build`.

    Links add motion to what the residual branch of appearance reads. The 1 x 1
    convolutions of each stage's second unit become 3 x 1 x 1 ones, `rgb_` and
    `flow_conv2_block2_1_conv` ..., of 1 x 1 kernels divided by 3.

    Raises:
        UserError: The towers are not ResNets of one input size.
    """
    return linked_resnets.build(config, classes, keras.layers.Add, stand_in)


def stand_in(
    layer: keras.layers.Layer, name: str, segments: int
) -> list[keras.layers.Layer]:
    """Give the layer under its new name, or a convolution over time instead."""
    if not INFLATED.fullmatch(layer.name):
        return linked_resnets.renamed(layer, name, segments)
    return [
        TemporalConvolution(
            layer.filters, segments, "inflated", dtype=layer.dtype_policy, name=name
        )
    ]
