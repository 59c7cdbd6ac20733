"""Motion excitation: channels that change from segment to segment speak up.

tower = with_motion_gate(build_tower(config, "rgb"), segments=7)
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from stfn_keras.models.fold_time import by_segment, check_segments
from stfn_keras.models.lift import Lift
from stfn_keras.models.residual_blocks import insert, residual_blocks

REDUCTION = 16


@keras.saving.register_keras_serializable(package="stfn_keras")
class MotionGate(Lift):
    """`x + x (sigmoid(E mean(D(R x_{t+1}) - R x_t)) - 1/2)`, channel by channel.

    T: the motion excitation of TEA, Li et al. 2020. R is a 1 x 1 convolution to a
    sixteenth of the channels, D a 3 x 3 depthwise one, the mean is over positions, E
    is a 1 x 1 convolution back. The last segment has no next one; its difference is 0.

    There is no batch normalisation inside (C). D starts as the identity and E at 0
    (C): the gate starts as the identity, and a video in which nothing moves has no
    difference. The first step of training moves E alone, the later ones all weights.

    Args:
        segments: How many consecutive images of the batch make a video.
        reduction: By what R divides the channels; at least one is left.

    Input shape:
        `(batch * segments, height, width, channels)`, as `FoldTime` lays them.

    Output shape:
        The same.

    Example:
    >>> MotionGate(segments=7)(keras.ops.ones((14, 8, 8, 64))).shape
    (14, 8, 8, 64)
    """

    mixes_segments = True

    def __init__(
        self, segments: int, reduction: int = REDUCTION, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.segments = check_segments(segments)
        self.reduction = reduction

    def build(self, input_shape: Any) -> None:
        """Create the weights of R, D and E."""
        channels = input_shape[-1]
        reduced = max(1, channels // self.reduction)
        self.reduce = self.add_weight(
            shape=(channels, reduced), initializer="glorot_uniform", name="reduce"
        )
        self.depthwise = self.add_weight(
            shape=(3, 3, reduced, 1), initializer=_centre, name="depthwise"
        )
        self.expand = self.add_weight(
            shape=(reduced, channels), initializer="zeros", name="expand"
        )
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return the gated maps."""
        reduced = ops.matmul(inputs, self.reduce)
        following = ops.depthwise_conv(reduced, self.depthwise, padding="same")
        apart = by_segment(reduced.shape, self.segments)
        reduced, following = ops.reshape(reduced, apart), ops.reshape(following, apart)
        # The mean of a difference is the difference of means: (batch, segments, C/r).
        reduced, following = ops.mean(reduced, axis=2), ops.mean(following, axis=2)
        motion = following[:, 1:] - reduced[:, :-1]
        motion = ops.concatenate([motion, ops.zeros_like(reduced[:, :1])], axis=1)
        gate = ops.sigmoid(ops.matmul(motion, self.expand) + self.bias) - 0.5
        gate = ops.reshape(gate, (-1, 1, 1, inputs.shape[-1]))
        return inputs + inputs * gate

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "segments": self.segments,
            "reduction": self.reduction,
        }


def with_motion_gate(
    tower: keras.Model, segments: int, reduction: int = REDUCTION
) -> keras.Model:
    """Copy a tower with a motion gate in each residual block.

    Gates stand behind the activation of a block's first convolution, as in TEA (T).
    All other layers keep their names and weights, and the copy computes at first what
    the tower does. Weight files of the plain tower lack the gates: load the tower
    first. As with `with_temporal_shift` a batch must be whole videos.

    Args:
        tower: A ResNet, MobileNetV2 or EfficientNet-Lite0, also with temporal shifts.
        segments: How many consecutive images of the batch make a video.
        reduction: By what a gate divides the channels inside.

    Returns:
        The tower with layers `<block>_gate`.

    Raises:
        UserError: The tower has no residual blocks, or none that are known.
    """
    return insert(
        tower,
        {
            block.second: MotionGate(segments, reduction, name=f"{block.name}_gate")
            for block in residual_blocks(tower, "rgb_motion=gate")
        },
    )


def _centre(shape: tuple, dtype: Any = None) -> Any:
    """A depthwise kernel that passes its input on."""
    kernel = np.zeros(shape)
    kernel[1, 1] = 1.0
    return ops.convert_to_tensor(kernel, dtype)
