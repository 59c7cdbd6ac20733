"""What layers that learn from the motion of feature vectors have in common."""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.motion_gate import REDUCTION


class MotionBottleneck(keras.layers.Layer):
    """`E relu(R m + b) + c` of a motion m: few weights, and 0 at first.

    Args:
        reduction: By what R divides the channels; at least one is left. E leads back.

    Input shape:
        `(batch, segments, channels)`.

    Output shape:
        The same.
    """

    def __init__(self, reduction: int = REDUCTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape: Any) -> None:
        """Create the weights of both layers."""
        channels = input_shape[-1]
        reduced = max(1, channels // self.reduction)
        self.reduce = self.add_weight(
            shape=(channels, reduced), initializer="glorot_uniform", name="reduce"
        )
        self.reduce_bias = self.add_weight(
            shape=(reduced,), initializer="zeros", name="reduce_bias"
        )
        self.expand = self.add_weight(
            shape=(reduced, channels), initializer="zeros", name="expand"
        )
        self.expand_bias = self.add_weight(
            shape=(channels,), initializer="zeros", name="expand_bias"
        )

    def learned(self, motion: Any) -> Any:
        """Return what both layers make of a motion, `(batch, segments, channels)`."""
        hidden = ops.relu(ops.matmul(motion, self.reduce) + self.reduce_bias)
        return ops.matmul(hidden, self.expand) + self.expand_bias

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "reduction": self.reduction}
