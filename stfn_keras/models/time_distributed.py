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

    A wrapped model may have several inputs and outputs: lists or dictionaries of
    them, nested or not, all of the same batch and time. A masked input takes Keras'
    own path, which knows one input and one output.

    Input shape:
        `(batch, time, ...)`; batch and time may both be unknown.

    Output shape:
        `(batch, time, ...)` with the wrapped layer's output for each step, or such
        outputs in the wrapped model's structure.

    Example:
    >>> frames = keras.random.uniform((2, 7, 32, 32, 3))
    >>> TimeDistributed(keras.layers.Conv2D(4, 3))(frames).shape
    (2, 7, 30, 30, 4)
    """

    # Stands in for the wrapped layer in training; `recompute_towers` sets it.
    recomputed: Callable[[Any], Any] | None = None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the wrapped layer once on all segments of all videos."""
        if any(one is not None for one in keras.tree.flatten(mask)):
            return super().call(inputs, training=training, mask=mask)
        # Keras hands `training` on to the wrapped layer with the call's context.
        layer = self.recomputed if training and self.recomputed else self.layer
        outputs = layer(keras.tree.map_structure(_folded, inputs))
        first = keras.tree.flatten(inputs)[0]
        batch, time = ops.shape(first)[:2]
        # A static time leaves the batch to be inferred, which exporters prefer.
        batch = -1 if first.shape[1] is not None else batch

        def unfolded(x: Any) -> Any:
            return ops.reshape(x, (batch, time, *ops.shape(x)[1:]))

        return keras.tree.map_structure(unfolded, outputs)  # (batch, time, ...)

    def build(self, input_shape: Any) -> None:
        """Build the wrapped layer for one step."""
        keras.layers.Wrapper.build(self, _of_one_step(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shapes of the wrapped layer's outputs, with time."""
        shapes: list[tuple] = []
        keras.tree.map_shape_structure(shapes.append, input_shape)
        batch, time = shapes[0][:2]
        step = self.layer.compute_output_shape(_of_one_step(input_shape))
        return keras.tree.map_shape_structure(
            lambda shape: (batch, time, *shape[1:]), step
        )

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> "TimeDistributed":
        """Rebuild the layer; the wrapped model's variables get their old paths."""
        # `build_tower` builds within a scope of the tower's name.
        with keras.name_scope(config["layer"]["config"]["name"]):
            return super().from_config(config, custom_objects)


def _folded(x: Any) -> Any:
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))  # (batch * time, ...)


def _of_one_step(shapes: Any) -> Any:
    """Leave time out of the shape of each tensor."""

    def one(shape: tuple) -> tuple:
        if len(shape) < 3:
            raise ValueError(
                "Inputs must be (batch, time, ...) of 3 dimensions or more. "
                f"Received: {tuple(shape)}"
            )
        return (shape[0], *shape[2:])

    return keras.tree.map_shape_structure(one, shapes)
