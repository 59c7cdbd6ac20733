"""ConvNeXt in plain, flat layers, each with a name of its own.

Source: Liu et al., "A ConvNet for the 2020s" (CVPR 2022), in the form that
`keras.applications` publishes weights for. Keras' own graph nests the stem and the
downsampling in models and leaves additions and scales with automatic names, so
that they can be neither tapped nor frozen one by one, and filters each channel by a
grouped convolution, which takes 30 times as long on a CPU as a depthwise one. The
weights are the same, in the same order.
"""

import keras

from stfn_keras.models.layer_scale import LayerScale

CHANNELS = (96, 192, 384, 768)
FEATURES = CHANNELS[-1]
TINY, SMALL = (3, 3, 9, 3), (3, 3, 27, 3)  # blocks of each stage


def convnext(inputs: keras.KerasTensor, depths: tuple[int, ...]) -> keras.KerasTensor:
    """Build ConvNeXt up to its pooled and normalised features.

    Layers are named `stem_conv`, `stage0_block0_depthwise_conv` ...,
    `downsampling0_conv` ..., `avg_pool`, `head_layernorm`; a block ends in
    `stage0_block0_add`. As in Keras' own top, the features are normalised after
    they are pooled. There is no stochastic depth, as in Keras, and no batch
    normalisation.

    Args:
        inputs: Images scaled by ImageNet's mean and deviation, `(batch, height,
            width, channels)`.
        depths: Blocks of each of the four stages.

    Returns:
        Features `(batch, 768)`.
    """
    x = keras.layers.Conv2D(CHANNELS[0], 4, strides=4, name="stem_conv")(inputs)
    x = _normalized(x, "stem")
    for stage, (channels, depth) in enumerate(zip(CHANNELS, depths, strict=True)):
        if stage:
            name = f"downsampling{stage - 1}"
            x = _normalized(x, name)
            x = keras.layers.Conv2D(channels, 2, strides=2, name=f"{name}_conv")(x)
        for block in range(depth):
            x = _block(x, channels, f"stage{stage}_block{block}")
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    return _normalized(x, "head", dtype="float32")


def _normalized(
    x: keras.KerasTensor, name: str, dtype: str | None = None
) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(
        epsilon=1e-6, dtype=dtype, name=f"{name}_layernorm"
    )(x)


def _block(inputs: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Filter each channel, then mix the channels through four times as many."""
    x = keras.layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise_conv")(
        inputs
    )
    x = _normalized(x, name)
    x = keras.layers.Dense(4 * channels, name=f"{name}_pointwise_conv_1")(x)
    x = keras.layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = keras.layers.Dense(channels, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(1e-6, name=f"{name}_layer_scale")(x)
    return keras.layers.Add(name=f"{name}_add")([inputs, x])
