"""EfficientNet-Lite0: plain convolutions and ReLU6, so it also runs on phones.

Source: the published EfficientNet-Lite0 (TensorFlow TPU models, Apache-2.0):
EfficientNet-B0 without squeeze-excitation, with ReLU6 for swish, and with a stem
and head that are not scaled.
"""

import keras

FEATURES = 1280

# (repeats, kernel, stride of the first, expansion, output channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Build EfficientNet-Lite0 up to its pooled features.

    Layers are named `stem_conv`, `block1a_dw_conv` ... `head_relu`; a stage's last
    block ends in `block3b_add`, or in `..._project_bn` where it adds no shortcut.

    Args:
        inputs: Images scaled by `(x - 127) / 128`, `(batch, height, width, channels)`.

    Returns:
        Features `(batch, 1280)`, 0 or more, 6 at most.
    """
    x = _convolution(inputs, 32, 3, 2, "stem")
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    for number, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES, 1):
        for repeat in range(repeats):
            name = f"block{number}{'abcd'[repeat]}_"
            step = stride if repeat == 0 else 1
            x = _block(x, kernel, step, expansion, channels, name)
    x = _convolution(x, FEATURES, 1, 1, "head")
    x = keras.layers.ReLU(6.0, name="head_relu")(x)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)


def _convolution(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def _block(
    inputs: keras.KerasTensor,
    kernel: int,
    stride: int,
    expansion: int,
    channels: int,
    name: str,
) -> keras.KerasTensor:
    """Expand, filter each channel, project back: an inverted bottleneck."""
    x = inputs
    if expansion != 1:
        x = _convolution(x, x.shape[-1] * expansion, 1, 1, f"{name}expand")
        x = keras.layers.ReLU(6.0, name=f"{name}expand_relu")(x)
    x = keras.layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}dw_conv",
    )(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}dw_bn")(x)
    x = keras.layers.ReLU(6.0, name=f"{name}dw_relu")(x)
    x = _convolution(x, channels, 1, 1, f"{name}project")
    if stride == 1 and inputs.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}add")([x, inputs])
    return x
