"""A sequence as one image that tells what came later: approximate rank pooling."""

from typing import Any

import keras
import numpy as np
from keras import ops


def rank_weights(steps: int) -> np.ndarray:
    """Return the weight of each of so many steps, float32 `(steps,)`, of sum 0.

    `alpha_t = sum_(i=t..N) (2 i - N - 1) / i` (T: Bilen et al., dynamic image
    networks): the first step of the ranking machine whose parameters stand for the
    sequence. Of one step it is 0.
    """
    i = np.arange(1, steps + 1, dtype="float64")
    terms = (2 * i - steps - 1) / i
    return np.cumsum(terms[::-1])[::-1].astype("float32")


@keras.saving.register_keras_serializable(package="stfn_keras")
class RankPooling(keras.layers.Layer):
    """`scale * sum_t alpha_t x_t` with the fixed weights of `rank_weights`.

    Of frames it gives a dynamic image, of flow dynamic flow. The weights sum to 0:
    what stands still vanishes. Computed in float32 in every precision.

    Args:
        scale: Factor on the result; 0.1 in dynamic image networks (T).
        axis: The axis of time.

    Input shape:
        Any, the steps known; of whole numbers too.

    Output shape:
        The same without that axis.

    Example:
    >>> frames = keras.ops.convert_to_tensor([[[3.0], [3.0], [6.0]]])
    >>> RankPooling()(frames).numpy()
    array([[2.]], dtype=float32)
    """

    def __init__(self, scale: float = 1.0, axis: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """Return the weighted sum over time."""
        weights = self.scale * rank_weights(inputs.shape[self.axis])
        x = ops.moveaxis(ops.cast(inputs, "float32"), self.axis, -1)
        pooled = ops.sum(x * ops.convert_to_tensor(weights, "float32"), axis=-1)
        return ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape without the axis of time."""
        shape = list(input_shape)
        del shape[self.axis]
        return tuple(shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "scale": self.scale, "axis": self.axis}
