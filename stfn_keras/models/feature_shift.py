"""The temporal shift of feature vectors, before a temporal module."""

from typing import Any

import keras

from stfn_keras.models.temporal_shift import SHARE, check_share, shifted


@keras.saving.register_keras_serializable(package="stfn_keras")
class FeatureShift(keras.layers.Layer):
    """Take the first channels from the next segment, the next ones from the last (C).

    `TemporalShift` where there are no positions. Where there is no such segment stand
    zeros. There are no weights.

    Args:
        share: Share of the channels, rounded down, that is shifted each way.

    Input shape:
        `(batch, segments, channels)`.

    Output shape:
        The same.

    Example:
    >>> features = keras.ops.convert_to_tensor([[[1.0, 1, 1, 1], [2, 2, 2, 2]]])
    >>> FeatureShift(share=1 / 4)(features).numpy()
    array([[[2., 0., 1., 1.],
            [0., 1., 2., 2.]]], dtype=float32)
    """

    def __init__(self, share: float = SHARE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = check_share(share)

    def call(self, inputs: Any) -> Any:
        """Return the features with some channels shifted."""
        return shifted(inputs, self.share)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "share": self.share}
