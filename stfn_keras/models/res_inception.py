"""Temporal dynamics of one stream's features at several time scales at once."""

from typing import Any

import keras

from stfn_keras.models.layer_scale import LayerScale

KERNELS = (2, 3, 4, 5)  # steps, of which each is a segment (P)


@keras.saving.register_keras_serializable(package="stfn_keras")
class TemporalResInception(keras.layers.Layer):
    """`x + concat_k(ReLU(BN(Conv1D(x, k))))` over time, for k = 2, 3, 4, 5.

    The kernel sizes, Conv1D-BN-ReLU and the residual are the poster's (P); the
    rest is our choice (C): branches of a quarter of the channels, so that the
    shortcut is the identity; convolutions without bias, since batch
    normalisation adds its own; batch normalisation momentum 0.9, since this
    layer is trained for few steps.

    An even kernel with `same` padding pads one step more after the end than
    before the start. The layer is therefore not symmetric in time: its 2 and 4
    step branches look one step further into the future than into the past.

    Args:
        width: Channels of each branch; 0 takes a quarter of the input's. When the
            branches together do not give the input's channels, a 1x1 projection
            brings them there.
        zero_init: Start as the identity (T: Goyal et al. 2017, section 5.1; the form
            is C): the projection starts at zero, or, where there is none, a factor
            per channel behind the branches does. The batch normalisations' own
            factors could not: the ReLU that follows hands no gradient back where
            its input is exactly 0, and the branch would stay silent for ever.

    Input shape:
        `(batch, time, channels)`, or a list of two such tensors: the input of the
        branches and the shortcut. Time may be 1 or unknown.

    Output shape:
        `(batch, time, channels)`.

    Example:
    >>> features = keras.random.uniform((2, 7, 64))
    >>> TemporalResInception()(features).shape
    (2, 7, 64)
    """

    def __init__(self, width: int = 0, zero_init: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 0:
            raise ValueError(f"`width` must be 0 or more. Received: {width}")
        self.width = width
        self.zero_init = zero_init

    def build(self, input_shape: Any) -> None:
        """Create the branches for the input's number of channels."""
        shape = input_shape
        if isinstance(input_shape[0], (tuple, list)):
            shape, shortcut = input_shape
            if shape[-1] != shortcut[-1]:
                raise ValueError(
                    "The shortcut must have as many channels as the input. "
                    f"Received: {tuple(shape)} and {tuple(shortcut)}"
                )
        channels = shape[-1]
        width = self.width or max(1, channels // len(KERNELS))
        dtype = self.dtype_policy

        self.convolutions, self.normalizations = [], []
        for kernel in KERNELS:
            convolution = keras.layers.Conv1D(
                width,
                kernel,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                dtype=dtype,
                name=f"conv_{kernel}",
            )
            normalization = keras.layers.BatchNormalization(
                momentum=0.9, dtype=dtype, name=f"bn_{kernel}"
            )
            convolution.build(shape)
            normalization.build((*shape[:-1], width))
            self.convolutions.append(convolution)
            self.normalizations.append(normalization)
        self.concatenate = keras.layers.Concatenate(dtype=dtype, name="concatenate")

        self.projection = self.scale = None
        if width * len(KERNELS) != channels:
            self.projection = keras.layers.Conv1D(
                channels,
                1,
                kernel_initializer="zeros" if self.zero_init else "glorot_uniform",
                dtype=dtype,
                name="projection",
            )
            self.projection.build((*shape[:-1], width * len(KERNELS)))
        elif self.zero_init:
            self.scale = LayerScale(0.0, dtype=dtype, name="scale")
            self.scale.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Add the branches' outputs to the shortcut."""
        x, shortcut = inputs, inputs
        if isinstance(inputs, (tuple, list)):
            x, shortcut = inputs
        branches = []
        for convolution, normalization in zip(
            self.convolutions, self.normalizations, strict=True
        ):
            branch = normalization(convolution(x), training=training)
            branches.append(keras.ops.relu(branch))
        dynamics = self.concatenate(branches)  # (batch, time, 4 * width)
        if self.projection is not None:
            dynamics = self.projection(dynamics)  # (batch, time, channels)
        if self.scale is not None:
            dynamics = self.scale(dynamics)
        return shortcut + dynamics

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape: neither time nor channels change."""
        if isinstance(input_shape[0], (tuple, list)):
            input_shape = input_shape[0]
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        config = {"width": self.width, "zero_init": self.zero_init}
        return {**super().get_config(), **config}
