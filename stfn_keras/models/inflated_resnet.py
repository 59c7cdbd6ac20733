"""A ResNet of `keras.applications`, inflated to read clips (Carreira and Zisserman).

features = inflated(keras.applications.ResNet50, clips)  # (None, 2048)

Its graph is walked, and each layer made anew for clips under its own name, so that the
weights of the ResNet of images find their places.
"""

import re
from collections.abc import Callable
from typing import Any

import keras

from stfn_keras.models.clip_max_pooling import ClipMaxPooling

# Of the odd blocks of a stage, the first 1 x 1 looks at three steps of time (C: "every
# second block", as in the ResNets of Wang et al. 2018, "Non-local neural networks").
IN_TIME = re.compile(r"conv[2-5]_block\d*[13579]_1_conv")
# Where the third halving of time is (C): together with conv1 and pool1 64 steps end
# as 8. The shortcut of the block follows.
HALVED = re.compile(r"conv3_block1_[01]_conv")
# Padded by hand: "same" would centre its strided kernel on other steps than those that
# the shortcut takes.
HALVED_IN_TIME, PADDED = "conv3_block1_1_conv", "conv3_block1_1_pad"


def inflated(
    application: Callable[..., keras.Model], clips: keras.KerasTensor
) -> keras.KerasTensor:
    """Build an inflated ResNet up to its pooled features, with random weights.

    Its kernels have these lengths in time (C): conv1 5, stride 2; the first pooling 3,
    stride 2; the first 1 x 1 of the first, third ... block of each stage 3, in
    conv3's first block with stride 2; all others 1. Time is padded with zeros.

    Args:
        application: `ResNet50`, or another of the first version.
        clips: Scaled, `(batch, steps, height, width, channels)`, all but the batch
            known.

    Returns:
        Features, float32 `(batch, channels)`: the mean of the last maps over time and
        space.
    """
    images = keras.Input(clips.shape[2:])
    plain = application(include_top=False, weights=None, input_tensor=images)
    tensors = {id(images): clips}
    x = clips
    for layer in plain.operations:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = keras.tree.map_structure(lambda t: tensors[id(t)], layer.input)
        if layer.name == HALVED_IN_TIME:
            inputs = keras.layers.ZeroPadding3D((1, 0, 0), name=PADDED)(inputs)
        x = tensors[id(layer.output)] = _of_clips(layer)(inputs)
    pool = keras.layers.GlobalAveragePooling3D(dtype="float32", name="avg_pool")
    return pool(x)


def _of_clips(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Make a layer of images anew for clips."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.ZeroPadding2D):
        length = 2 if layer.name == "conv1_pad" else 1
        padding = ((length, length), *layer.padding)
        return keras.layers.ZeroPadding3D(padding, name=layer.name)
    if isinstance(layer, keras.layers.MaxPooling2D):
        sides, strides = (3, *layer.pool_size), (2, *layer.strides)
        return ClipMaxPooling(sides, strides, layer.padding, name=layer.name)
    if isinstance(layer, keras.layers.Conv2D):
        return keras.layers.Conv3D.from_config({**config, **_inflated(layer)})
    if isinstance(layer, keras.layers.BatchNormalization):
        config["axis"] = -1  # counted from the front, it would be the width
    return type(layer).from_config(config)


def _inflated(layer: keras.layers.Conv2D) -> dict[str, Any]:
    """What of a convolution's configuration is another for clips."""
    length = stride = 1
    padding = layer.padding
    if layer.name == "conv1_conv":  # padded before
        length, stride = 5, 2
    elif IN_TIME.fullmatch(layer.name):
        length = 3  # in space it is 1 x 1, and nothing is padded
        padding = "valid" if layer.name == HALVED_IN_TIME else "same"
    if HALVED.fullmatch(layer.name):
        stride = 2
    return {
        "kernel_size": (length, *layer.kernel_size),
        "strides": (stride, *layer.strides),
        "dilation_rate": (1, *layer.dilation_rate),
        "padding": padding,
        "data_format": None,
    }
