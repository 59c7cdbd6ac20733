"""The control of the res-inception: as many weights, and no view of time."""

from typing import Any

import keras

from stfn_keras.models.layer_scale import LayerScale
from stfn_keras.models.res_inception import KERNELS


@keras.saving.register_keras_serializable(package="stfn_keras")
class TemporalMLP(keras.layers.Layer):
    """`x + ReLU(BN(Dense(ReLU(BN(Dense(x))))))` on each segment by itself (C).

    Stands where a `TemporalResInception` of the same `width` would, with nearly as
    many weights: what the res-inception gains over it is not gained by size. It
    cannot use time, since no segment sees another; in training, batch normalisation
    takes its moments over all segments, as in the res-inception.

    The hidden layer has as many units as bring the parameters closest to the
    res-inception's: within 1 % from 64 channels on, and exactly to one unit's
    `2 * channels + 4`.

    Args:
        width: The width of the res-inception that it stands for, 0 or more.
        zero_init: Start as the identity, as in `TemporalResInception`.

    Input shape:
        `(batch, time, channels)`, or a list of two such tensors: the input of the
        branch and the shortcut.

    Output shape:
        `(batch, time, channels)`.

    Example:
    >>> TemporalMLP()(keras.random.uniform((2, 7, 64))).shape
    (2, 7, 64)
    """

    def __init__(self, width: int = 0, zero_init: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 0:
            raise ValueError(f"`width` must be 0 or more. Received: {width}")
        self.width = width
        self.zero_init = zero_init

    def build(self, input_shape: Any) -> None:
        """Create both layers for the input's number of channels."""
        shape = input_shape
        if isinstance(input_shape[0], (tuple, list)):
            shape = input_shape[0]
        channels = shape[-1]
        dtype = self.dtype_policy

        self.denses, self.normalizations = [], []
        x = shape
        for number, units in enumerate((self._hidden(channels), channels), 1):
            dense = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer="he_normal",
                dtype=dtype,
                name=f"dense_{number}",
            )
            normalization = keras.layers.BatchNormalization(
                momentum=0.9, dtype=dtype, name=f"bn_{number}"
            )
            dense.build(x)
            x = (*shape[:-1], units)
            normalization.build(x)
            self.denses.append(dense)
            self.normalizations.append(normalization)
        self.scale = None
        if self.zero_init:
            self.scale = LayerScale(0.0, dtype=dtype, name="scale")
            self.scale.build(x)

    def _hidden(self, channels: int) -> int:
        """Units of the hidden layer: parameters as a res-inception's."""
        width = self.width or max(1, channels // len(KERNELS))
        parameters = width * channels * sum(KERNELS) + 4 * width * len(KERNELS)
        if width * len(KERNELS) != channels:
            parameters += (width * len(KERNELS) + 1) * channels
        return max(1, round((parameters - 4 * channels) / (2 * channels + 4)))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Add the branch's output to the shortcut."""
        x, shortcut = inputs, inputs
        if isinstance(inputs, (tuple, list)):
            x, shortcut = inputs
        for dense, normalization in zip(self.denses, self.normalizations, strict=True):
            x = keras.ops.relu(normalization(dense(x), training=training))
        if self.scale is not None:
            x = self.scale(x)
        return shortcut + x

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape: neither time nor channels change."""
        if isinstance(input_shape[0], (tuple, list)):
            input_shape = input_shape[0]
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        config = {"width": self.width, "zero_init": self.zero_init}
        return {**super().get_config(), **config}
