"""Train a network to do without one of its streams."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class ModalityDropout(keras.layers.Layer):
    """Zero one stream of a video in training, all its segments (C; as ModDrop).

    With probability `rate`, drawn for each video, exactly one of the two streams is
    zeroed, by a fair coin; what stays is not scaled up. At inference the layer is
    the identity. The state of its draws is a variable like that of Keras' `Dropout`.

    Args:
        rate: Probability that a video loses a stream, 0 to 1.
        seed: Seed of the draws; None takes one from Keras' global seed.

    Input shape:
        A list of two tensors `(batch, segments, channels)`: appearance and motion.

    Output shape:
        The same.

    Example:
    >>> rgb = flow = keras.ops.ones((2, 7, 64))
    >>> [x.shape for x in ModalityDropout(0.5)([rgb, flow], training=True)]
    [(2, 7, 64), (2, 7, 64)]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be 0 to 1. Received: {rate}")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> list:
        """Return both streams, in training one of them zeroed now and then."""
        rgb, flow = inputs
        if not training:
            return [rgb, flow]
        draws = keras.random.uniform(
            (ops.shape(rgb)[0], 1, 1), dtype="float32", seed=self.seed_generator
        )
        # One draw decides both: the lower half of the rate drops appearance.
        rgb_stays = draws >= self.rate / 2
        flow_stays = ops.logical_or(draws < self.rate / 2, draws >= self.rate)
        return [
            rgb * ops.cast(rgb_stays, rgb.dtype),
            flow * ops.cast(flow_stays, flow.dtype),
        ]

    def compute_output_shape(self, input_shape: Any) -> list:
        """Give the inputs' shapes."""
        return [tuple(shape) for shape in input_shape]

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
