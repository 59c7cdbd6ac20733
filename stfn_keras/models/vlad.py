"""A set of local features as one vector: residuals from the centres of clusters."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class VLAD(keras.layers.Layer):
    """Where a video's local features lie around learned centres (T: ActionVLAD).

    Each feature x, of length 1, is shared out over the clusters by

        a_k(x) = softmax_k(w_k . x + b_k),  w_k = 2 alpha c_k,  b_k = -alpha |c_k|^2

    which is `softmax_k(-alpha |x - c_k|^2)`; with a large alpha nearly all of it goes
    to the nearest centre. All positions of all segments add up in

        v_k = sum_x a_k(x) (x - c_k)

    and each v_k is scaled to length 1, and then all of them together. Weights w,
    biases b and centres c are variables of their own, tied at the start alone.

    The centres start orthogonal (C); `set_centres` sets them to what k-means finds.
    Compute it in float32 (`dtype="float32"`): alpha makes much of small distances.

    Args:
        clusters: How many centres K.
        alpha: How sharply features are assigned; 0: evenly to all.

    Input shape:
        `(batch, ..., channels)`; features need not be of length 1, they are made so.

    Output shape:
        `(batch, clusters * channels)`, of length 1.

    Example:
    >>> VLAD(clusters=4)(keras.random.uniform((2, 7, 8, 8, 16))).shape
    (2, 64)
    """

    def __init__(
        self, clusters: int = 64, alpha: float = 1000.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if clusters < 1:
            raise ValueError(f"`clusters` must be 1 or more. Received: {clusters}")
        if alpha < 0.0:
            raise ValueError(f"`alpha` must be 0 or more. Received: {alpha}")
        self.clusters = clusters
        self.alpha = alpha

    def build(self, input_shape: Any) -> None:
        """Create centres and assignment for the input's number of channels."""
        channels = input_shape[-1]
        self.centres = self.add_weight(
            shape=(self.clusters, channels), initializer="orthogonal", name="centres"
        )
        self.kernel = self.add_weight(
            shape=(channels, self.clusters),
            initializer=lambda shape, dtype=None: self._assignment(self.centres)[0],
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.clusters,),
            initializer=lambda shape, dtype=None: self._assignment(self.centres)[1],
            name="bias",
        )

    def set_centres(self, centres: np.ndarray) -> None:
        """Set the centres, and the assignment to what they ask for.

        Args:
            centres: `(clusters, channels)`, such as k-means finds among features of
                length 1; they need not be of length 1 themselves.

        Raises:
            ValueError: They are of another shape.
        """
        expected = tuple(self.centres.shape)
        if np.shape(centres) != expected:
            raise ValueError(
                f"Centres must be of shape {expected}. Received: {np.shape(centres)}"
            )
        self.centres.assign(np.asarray(centres, "float32"))
        kernel, bias = self._assignment(self.centres)
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def _assignment(self, centres: Any) -> tuple[Any, Any]:
        """The weights w and biases b that belong to centres."""
        kernel = 2.0 * self.alpha * ops.transpose(centres)
        return kernel, -self.alpha * ops.sum(ops.square(centres), axis=1)

    def call(self, inputs: Any) -> Any:
        """Return the scaled sums of residuals."""
        positions = int(np.prod(inputs.shape[1:-1]))
        x = _unit(ops.reshape(inputs, (-1, positions, inputs.shape[-1])))
        shares = ops.softmax(ops.matmul(x, self.kernel) + self.bias)
        # The residuals' sum, without a tensor of every feature times every cluster.
        sums = ops.matmul(ops.transpose(shares, (0, 2, 1)), x)
        counts = ops.sum(shares, axis=1)[:, :, None]  # (batch, clusters, 1)
        residuals = _unit(sums - counts * self.centres)  # (batch, clusters, channels)
        return _unit(ops.reshape(residuals, (-1, self.clusters * x.shape[-1])))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give one vector for each video."""
        return (input_shape[0], self.clusters * input_shape[-1])

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        config = {"clusters": self.clusters, "alpha": self.alpha}
        return {**super().get_config(), **config}


def _unit(x: Any) -> Any:
    """Scale to length 1 along the last axis; 0 stays 0."""
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, 1e-12))
