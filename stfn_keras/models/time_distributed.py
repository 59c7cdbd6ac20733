"""Apply one layer to every segment by folding time into the batch."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class TimeDistributed(keras.layers.TimeDistributed):
    """Keras' wrapper, folded: one call on (batch * time, ...) instead of a loop.

    Keras unrolls a static number of steps into as many copies of the wrapped
    layer. Folding gives the same outputs at inference from a graph that is T
    times smaller. In training it differs in one way: batch normalisation takes
    its moments over all segments together and updates its moving statistics
    once per step, not T times.

    A masked input takes Keras' own path.

    Input shape:
        `(batch, time, ...)`; batch and time may both be unknown.

    Output shape:
        `(batch, time, ...)` with the wrapped layer's output for each step.

    Example:
    >>> frames = keras.random.uniform((2, 7, 32, 32, 3))
    >>> TimeDistributed(keras.layers.Conv2D(4, 3))(frames).shape
    (2, 7, 30, 30, 4)
    """

    # Stands in for the wrapped layer in training; `recompute_towers` sets it.
    recomputed: Callable[[Any], Any] | None = None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the wrapped layer once on all segments of all videos."""
        if mask is not None:
            return super().call(inputs, training=training, mask=mask)
        shape = ops.shape(inputs)
        folded = ops.reshape(inputs, (-1, *shape[2:]))  # (batch * time, ...)
        # Keras hands `training` on to the wrapped layer with the call's context.
        layer = self.recomputed if training and self.recomputed else self.layer
        outputs = layer(folded)
        # A static time leaves the batch to be inferred, which exporters prefer.
        batch = -1 if inputs.shape[1] is not None else shape[0]
        rest = ops.shape(outputs)[1:]
        return ops.reshape(outputs, (batch, shape[1], *rest))  # (batch, time, ...)

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> "TimeDistributed":
        """Rebuild the layer; the wrapped model's variables get their old paths."""
        # `build_tower` builds within a scope of the tower's name.
        with keras.name_scope(config["layer"]["config"]["name"]):
            return super().from_config(config, custom_objects)
