"""A learned factor per channel."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class LayerScale(keras.layers.Layer):
    """`gamma * x`, with one gamma per channel (T: CaiT, section 3; ConvNeXt).

    Args:
        initial: What every gamma starts from.

    Input shape:
        `(..., channels)`.

    Output shape:
        The same.

    Example:
    >>> LayerScale(0.5)(keras.ops.ones((1, 2))).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, initial: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Any) -> None:
        """Create the factors."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
            autocast=False,  # float16 would round ConvNeXt's 1e-6 to a few bits
            name="gamma",
        )

    def call(self, inputs: Any) -> Any:
        """Return the scaled input."""
        scaled = ops.cast(inputs, self.variable_dtype) * self.gamma
        return ops.cast(scaled, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "initial": self.initial}
