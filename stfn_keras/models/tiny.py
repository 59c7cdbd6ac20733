"""A tower that learns from scratch in a minute on a CPU, for the demo and tests."""

import keras

FEATURES = 128
CHANNELS = (16, 32, 64, FEATURES)


def tiny(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Build four stages of convolution, batch normalisation and ReLU, stride 2.

    Channels double where the area is quartered. Every stage mixes its channels,
    so opposite motions, which have opposite signs, activate different features.

    Args:
        inputs: Images scaled to -1..1, `(batch, height, width, channels)`.

    Returns:
        Features `(batch, 128)`, 0 or more.
    """
    x = inputs
    for stage, channels in enumerate(CHANNELS, 1):
        x = keras.layers.Conv2D(
            channels,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{stage}",
        )(x)
        # Short runs: Keras' momentum of 0.99 would leave test statistics behind.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{stage}")(x)
        x = keras.layers.ReLU(name=f"relu{stage}")(x)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
