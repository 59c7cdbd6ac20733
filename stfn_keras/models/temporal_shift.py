"""The temporal shift module: neighbouring segments lend each other some channels.

tower = with_temporal_shift(build_tower(config, "rgb"), segments=7)
TimeDistributed(tower)(videos)  # each segment's features know of its neighbours
"""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.fold_time import by_segment, check_segments
from stfn_keras.models.lift import Lift
from stfn_keras.models.residual_blocks import insert, residual_blocks

SHARE = 1 / 8


@keras.saving.register_keras_serializable(package="stfn_keras")
class TemporalShift(Lift):
    """Take the first channels from the next segment, the next ones from the last.

    T: TSM, Lin et al. 2019. Where there is no such segment stand zeros. There are no
    weights.

    Args:
        segments: How many consecutive images of the batch make a video.
        share: Share of the channels, rounded down, that is shifted each way.

    Input shape:
        `(batch * segments, height, width, channels)`, as `FoldTime` lays them.

    Output shape:
        The same.

    Example:
    >>> maps = keras.ops.reshape(keras.ops.arange(1.0, 4), (3, 1, 1, 1))
    >>> maps = keras.ops.repeat(maps, 4, axis=-1)  # 3 segments of 4 channels
    >>> TemporalShift(3, share=1 / 4)(maps).numpy()[:, 0, 0]
    array([[2., 0., 1., 1.],
           [3., 1., 2., 2.],
           [0., 2., 3., 3.]], dtype=float32)
    """

    mixes_segments = True

    def __init__(self, segments: int, share: float = SHARE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments = check_segments(segments)
        self.share = check_share(share)

    def call(self, inputs: Any) -> Any:
        """Return the maps with some channels shifted."""
        x = ops.reshape(inputs, by_segment(inputs.shape, self.segments))
        return ops.reshape(shifted(x, self.share), (-1, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "segments": self.segments,
            "share": self.share,
        }


def check_share(share: float) -> float:
    """Return the share of the channels, or raise ValueError where it is none."""
    if not 0.0 <= share <= 0.5:
        raise ValueError(f"`share` must be 0 to 0.5. Received: {share}")
    return share


def shifted(x: Any, share: float) -> Any:
    """Shift some channels of segments, (batch, segments, ..., channels)."""
    count = int(x.shape[-1] * share)
    if not count:
        return x
    ahead, back = x[..., :count], x[..., count : 2 * count]
    nothing = ops.zeros_like(ahead[:, :1])
    ahead = ops.concatenate([ahead[:, 1:], nothing], axis=1)
    back = ops.concatenate([nothing, back[:, :-1]], axis=1)
    return ops.concatenate([ahead, back, x[..., 2 * count :]], axis=-1)


def with_temporal_shift(
    tower: keras.Model, segments: int, share: float = SHARE
) -> keras.Model:
    """Copy a tower with a shift before the first convolution of each residual block.

    The shortcuts carry their segment alone. All other layers keep their names and
    weights, so that weights of the plain tower load and copy by name; with a share of
    0 the copy computes what the tower does.

    The copy reads videos, not images: its batches must be whole videos of so many
    segments, one behind the other, as `TimeDistributed` folds them.

    Args:
        tower: A ResNet, MobileNetV2 or EfficientNet-Lite0 from `build_tower`. Of the
            latter two, blocks without a shortcut are left out.
        segments: How many consecutive images of the batch make a video.
        share: Share of the channels that is shifted each way, 0 to 0.5.

    Returns:
        The tower with layers `<block>_shift`.

    Raises:
        UserError: The tower has no residual blocks, or none that are known.
    """
    return insert(
        tower,
        {
            block.first: TemporalShift(segments, share, name=f"{block.name}_shift")
            for block in residual_blocks(tower, "rgb_motion=shift")
        },
    )
