"""What changes around each segment, added to its features."""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.motion_bottleneck import MotionBottleneck


@keras.saving.register_keras_serializable(package="stfn_keras")
class CentralDifference(MotionBottleneck):
    """`s_t + E relu(R (s_{t+1} - s_{t-1}))` (C, after the differences of TDN).

    Two small layers on the difference of the segments before and behind, R to a
    sixteenth of the channels and E back. The first and the last segment stand for the
    neighbour that they lack. E starts at 0, so that the layer starts as the identity.

    Args:
        reduction: By what R divides the channels; at least one is left.

    Input shape:
        `(batch, segments, channels)`.

    Output shape:
        The same.

    Example:
    >>> CentralDifference()(keras.ops.ones((2, 7, 64))).shape
    (2, 7, 64)
    """

    def call(self, inputs: Any) -> Any:
        """Return the features with what was learned of their motion."""
        following = ops.concatenate([inputs[:, 1:], inputs[:, -1:]], axis=1)
        previous = ops.concatenate([inputs[:, :1], inputs[:, :-1]], axis=1)
        return inputs + self.learned(following - previous)
