"""Motion excitation of feature vectors, before a temporal module."""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.motion_bottleneck import MotionBottleneck


@keras.saving.register_keras_serializable(package="stfn_keras")
class FeatureGate(MotionBottleneck):
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

    def call(self, inputs: Any) -> Any:
        """Return the gated features."""
        motion = inputs[:, 1:] - inputs[:, :-1]
        motion = ops.concatenate([motion, ops.zeros_like(inputs[:, :1])], axis=1)
        return inputs + inputs * (ops.sigmoid(self.learned(motion)) - 0.5)
