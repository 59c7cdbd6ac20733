"""Inception-v1 with batch normalisation, of images; of clips it is I3D.

features = inception_v1(keras.Input((224, 224, 3)))      # (None, 1024)
features = inception_v1(keras.Input((64, 224, 224, 3)))  # likewise: I3D

Sources: Szegedy et al. 2015, "Going deeper with convolutions"; Carreira and Zisserman
2017, "Quo vadis, action recognition?", which inflates every kernel and window of it but
the first two poolings', whose windows have no length in time.
"""

import keras

from stfn_keras.models.clip_max_pooling import ClipMaxPooling
from stfn_keras.models.window_mean import WindowMean

FEATURES = 1024
WINDOW = (2, 7, 7)  # of the last average pooling of clips

# Channels: 1 x 1; 3 x 3 reduced, 3 x 3; again reduced, 3 x 3; behind the pooling.
MODULES = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
# Before a module: side of a maximum pooling of stride 2.
POOLED = {"4b": 3, "5b": 2}
SECOND = {"5b": "0a"}  # what the published checkpoints call its second 3 x 3, not 0b


def inception_v1(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Build Inception-v1, or I3D, up to its pooled features.

    Layers have the names of the published checkpoints with `_` for `/`, and without
    the first scope: `Conv3d_1a_7x7` (of images `Conv2d_...`), its `..._bn` and
    `..._relu`, `Mixed_3b_Branch_1_Conv3d_0b_3x3`, `Mixed_3b` ... Batch normalisation
    has no scale and an epsilon of 1e-3, as theirs. All padding is of zeros, in time
    too.

    The last average pooling of clips is a window of 7 x 7 over 2 steps of time, at
    stride 1, and the mean of what it gives (T). So of three steps or more, 17 frames or
    more, the first and the last weigh half of the others. Along an axis on which a map
    is smaller than the window it is averaged as a whole (C); a larger one is scanned by
    it (C). Images are averaged as a whole.

    Args:
        inputs: Scaled to -1..1, images `(batch, height, width, channels)` or clips
            `(batch, steps, height, width, channels)`, all but the batch known.

    Returns:
        Features, float32 `(batch, 1024)`, 0 or more.
    """
    x = _convolution(inputs, 64, 7, "1a_7x7", strides=2)
    x = _max_pool(x, 3, 2, "MaxPool_2a_3x3", in_time=False)
    x = _convolution(x, 64, 1, "2b_1x1")
    x = _convolution(x, 192, 3, "2c_3x3")
    x = _max_pool(x, 3, 2, "MaxPool_3a_3x3", in_time=False)
    for name, channels in MODULES.items():
        if name in POOLED:
            side = POOLED[name]
            x = _max_pool(x, side, 2, f"MaxPool_{name[0]}a_{side}x{side}")
        x = _module(x, channels, name)
    if len(x.shape) == 4:
        pool = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")
    else:
        pool = WindowMean(WINDOW, dtype="float32", name="avg_pool")
    return pool(x)


def _module(
    x: keras.KerasTensor, channels: tuple[int, ...], name: str
) -> keras.KerasTensor:
    """Four branches side by side."""
    first, reduce, second, reduce_again, third, last = channels
    scope = f"Mixed_{name}_Branch_"
    branches = [
        _convolution(x, first, 1, "0a_1x1", f"{scope}0_"),
        _convolution(
            _convolution(x, reduce, 1, "0a_1x1", f"{scope}1_"),
            second, 3, "0b_3x3", f"{scope}1_",
        ),
        _convolution(
            _convolution(x, reduce_again, 1, "0a_1x1", f"{scope}2_"),
            third, 3, f"{SECOND.get(name, '0b')}_3x3", f"{scope}2_",
        ),
        _convolution(
            _max_pool(x, 3, 1, f"{scope}3_MaxPool_0a_3x3"),
            last, 1, "0b_1x1", f"{scope}3_",
        ),
    ]  # fmt: skip
    return keras.layers.Concatenate(name=f"Mixed_{name}")(branches)


def _convolution(
    x: keras.KerasTensor,
    channels: int,
    side: int,
    name: str,
    scope: str = "",
    strides: int = 1,
) -> keras.KerasTensor:
    """Convolution, batch normalisation, ReLU."""
    dims = len(x.shape) - 2
    name = f"{scope}Conv{dims}d_{name}"
    convolution = keras.layers.Conv3D if dims == 3 else keras.layers.Conv2D
    x = convolution(
        channels,
        side,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    norm = keras.layers.BatchNormalization(scale=False, epsilon=1e-3, name=f"{name}_bn")
    return keras.layers.ReLU(name=f"{name}_relu")(norm(x))


def _max_pool(
    x: keras.KerasTensor, side: int, strides: int, name: str, in_time: bool = True
) -> keras.KerasTensor:
    if len(x.shape) == 4:
        pool = keras.layers.MaxPooling2D(side, strides, "same", name=name)
        return pool(x)
    sides, steps = (side, side, side), (strides, strides, strides)
    if not in_time:
        sides, steps = (1, *sides[1:]), (1, *steps[1:])
    return ClipMaxPooling(sides, steps, name=name)(x)
