"""Gradient checkpointing: compute the towers' blocks again in the backward pass.

network = build(config, classes)
recompute_towers(network)  # before the training step is traced

A training step keeps the activations of every layer until the gradient comes by,
which is most of its memory. With this it keeps those between blocks alone, for about
one more forward pass of time (T: Chen et al. 2016, "Training deep nets with sublinear
memory cost").

Keras' own `RematScope` wraps the layers' `call` as it is. Called eagerly, a batch
normalisation moves its statistics a second time in the backward pass and dropout draws
another mask there, so that gradients are wrong; in a TensorFlow graph it refuses layers
that are told whether they train (Keras 3.15). Here a block is a function of values
alone. It receives its variables' values, and what it wants to change of them comes out
of it and is written once.
"""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.blocks import Block, split
from stfn_keras.models.time_distributed import TimeDistributed


def recompute_towers(network: keras.Model, on: bool = True) -> int:
    """Let a network's towers be computed block by block in training, and again.

    The losses, gradients, statistics and dropout masks are those of the plain network.
    Nothing else changes: neither layers nor variables and their paths, freezing, files
    or what is computed at inference. A graph traced earlier stays as it is.

    Args:
        network: From `build`; a network from features has no towers.
        on: False undoes it.

    Returns:
        How many blocks there are in all.

    Raises:
        UserError: A tower is not a graph of layers that can be cut into blocks.
    """
    wrappers = [
        layer
        for layer in network.layers
        if isinstance(layer, TimeDistributed) and isinstance(layer.layer, keras.Model)
    ]
    towers = [RecomputedTower(layer.layer) if on else None for layer in wrappers]
    for wrapper, tower in zip(wrappers, towers, strict=True):
        wrapper.recomputed = tower
    return sum(len(tower.blocks) for tower in towers if tower)


class RecomputedTower:
    """A tower in training that keeps the tensors between its blocks alone.

    It is no layer, so that a layer may hold one without holding its weights twice.
    """

    def __init__(self, tower: keras.Model) -> None:
        self.blocks = split(tower)
        self.output = tower.output  # a tensor, or a dictionary of one

    def __call__(self, images: Any) -> Any:
        """Return the output for images, (batch, ...), in training."""
        preprocessing, *blocks = self.blocks
        x = preprocessing.run(images, training=True)
        for block in blocks:
            x = _recomputed(block, x)
        return keras.tree.pack_sequence_as(self.output, [x])


def _recomputed(block: Block, x: Any) -> Any:
    """Run a block so that of all its tensors only its input is kept."""
    weights = [w for layer in block.layers for w in layer.trainable_variables]
    # Statistics of batch normalisation, seeds of dropout, frozen weights.
    others = [w for layer in block.layers for w in layer.non_trainable_variables]
    before = [_now(w) for w in others]
    changed: list[int] = []

    def compute(x: Any, *values: Any) -> list:
        mapping = [
            *zip(weights, values, strict=True),
            *zip(others, before, strict=True),
        ]
        scope = keras.StatelessScope(state_mapping=mapping)
        old = [scope.get_current_value(w) for w in others]
        with scope:
            y = block.run(x, training=True)
        new = [scope.get_current_value(w) for w in others]
        changed[:] = [i for i, value in enumerate(new) if value is not old[i]]
        return [y, *(ops.stop_gradient(new[i]) for i in changed)]

    values = [_now(w) for w in weights]
    if values and keras.backend.backend() == "tensorflow":
        x, *values = _in_turn(x, *values)
    y, *updates = keras.remat(compute)(x, *values)
    for i, value in zip(changed, updates, strict=True):
        others[i].assign(value)
    return y


@ops.custom_gradient
def _in_turn(x: Any, *values: Any) -> tuple:
    """Hand a block's gradient down only when those of its weights are computed.

    TensorFlow runs what is ready in any order, and often leaves the weights for last:
    all blocks' tensors would wait for that together. XLA orders by memory itself.
    """

    def gradient(dx: Any, *others: Any) -> tuple:
        ends = [ops.cast(ops.reshape(d, (-1,))[0], "float32") for d in others]
        end = sum(ends[1:], ends[0])
        # 0, but nothing that simplifies graphs can know it.
        zero = ops.where(end == end, 0.0, float("nan"))
        return (dx + ops.cast(zero, dx.dtype), *others)

    return (x, *values), gradient


def _now(variable: keras.Variable) -> Any:
    """Read a variable; `convert_to_tensor` would leave it to be read later."""
    return ops.copy(variable)
