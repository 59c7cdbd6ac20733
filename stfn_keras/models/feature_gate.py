"""Motion excitation of feature vectors, before a temporal module."""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.motion_gate import REDUCTION


@keras.saving.register_keras_serializable(package="stfn_keras")
class FeatureGate(keras.layers.Layer):
    """`s + s (sigmoid(E relu(R (s_{t+1} - s_t))) - 1/2)`, element by element (C).

    `MotionGate` where there are no positions: two small layers on the difference to
    the next segment, R to a sixteenth of the channels and E back. The last segment
    has no next one; its difference is 0. E starts at 0, so that the gate starts as
    the identity.

    Args:
        reduction: By what R divides the channels; at least one is left.

    Input shape:
        `(batch, segments, channels)`.

    Output shape:
        The same.

    Example:
    >>> FeatureGate()(keras.ops.ones((2, 7, 64))).shape
    (2, 7, 64)
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

    def call(self, inputs: Any) -> Any:
        """Return the gated features."""
        motion = inputs[:, 1:] - inputs[:, :-1]
        motion = ops.concatenate([motion, ops.zeros_like(inputs[:, :1])], axis=1)
        hidden = ops.relu(ops.matmul(motion, self.reduce) + self.reduce_bias)
        gate = ops.sigmoid(ops.matmul(hidden, self.expand) + self.expand_bias) - 0.5
        return inputs + inputs * gate

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "reduction": self.reduction}
