"""Cut a tower into the blocks that are computed again in the backward pass.

blocks = split(tower)
for block in blocks:
    x = block.run(x, training=True)  # together: tower(x, training=True)

A graph can be cut wherever a single tensor carries it on: behind each residual block
of a ResNet, each module of an Inception.
"""

import inspect
import math
from dataclasses import dataclass
from typing import Any

import keras

from stfn_keras.errors import UserError

LIMITS = 24  # sizes of the largest block that are tried
UNCOUNTED = (keras.layers.ReLU, keras.layers.Activation)  # they keep one, their output


@dataclass(frozen=True)
class Block:
    """Part of a tower's graph with one tensor in and one out.

    Attributes:
        layers: In the order of execution.
        input: The symbolic tensor that it starts from.
        output: The symbolic tensor that it ends in.
    """

    layers: tuple[keras.layers.Layer, ...]
    input: keras.KerasTensor
    output: keras.KerasTensor

    def run(self, x: Any, training: bool) -> Any:
        """Compute the block as the tower would."""
        tensors = {id(self.input): x}
        for layer in self.layers:
            options = {"training": training} if _takes_training(layer) else {}
            inputs = keras.tree.map_structure(lambda t: tensors[id(t)], layer.input)
            tensors[id(layer.output)] = layer(inputs, **options)
        return tensors[id(self.output)]


def split(tower: keras.Model) -> list[Block]:
    """Cut a tower where the least memory is needed to compute it block by block.

    That memory is all tensors between blocks, which are kept, and all tensors inside
    the largest block, which come back one block at a time.

    Args:
        tower: From `build_tower`, or any functional model of layers that are called
            once, with one input and one output.

    Returns:
        The blocks in order. The first holds what stands before the first float
        tensor (the preprocessing): there is nothing to gain from it.

    Raises:
        UserError: The tower is not such a model.
    """
    layers = _ordered(tower)
    cuts = _cuts(tower, layers)
    edges = _choose(layers, cuts)
    blocks, start = [], tower.inputs[0]
    for first, last in zip(edges, edges[1:], strict=False):
        output = layers[last - 1].output
        blocks.append(Block(tuple(layers[first:last]), start, output))
        start = output
    return blocks


def bytes_of(tensor: keras.KerasTensor) -> int:
    """Memory of a tensor per element of the batch."""
    return bytes_of_one(tensor) * math.prod(tensor.shape[1:])


def bytes_of_one(tensor: keras.KerasTensor) -> int:
    """Memory of one number of a tensor."""
    return {"uint8": 1, "float16": 2, "bfloat16": 2}.get(tensor.dtype, 4)


def _ordered(tower: keras.Model) -> list[keras.layers.Layer]:
    """The layers in the order of execution, each called once on known shapes."""
    if len(getattr(tower, "outputs", None) or ()) > 1:
        raise UserError(
            "--recompute needs towers of one output. Received: "
            f"{tower.name}, which gives {len(tower.outputs)} (--network reads maps of "
            "several of its stages). Train it without --recompute; "
            "--accumulate_steps saves memory too"
        )
    try:
        layers = [
            operation
            for operation in tower.operations
            if not isinstance(operation, keras.layers.InputLayer)
        ]
        plain = all(
            isinstance(layer, keras.layers.Layer)
            and isinstance(layer.input, (keras.KerasTensor, list))
            and isinstance(layer.output, keras.KerasTensor)
            and None not in layer.output.shape[1:]
            for layer in layers
        )
        known = {id(tower.inputs[0])} | {id(layer.output) for layer in layers}
        plain = (
            plain
            and len(tower.inputs) == len(tower.outputs) == 1
            and layers[-1].output is tower.outputs[0]
            and all(
                id(tensor) in known
                for layer in layers
                for tensor in keras.tree.flatten(layer.input)
            )
        )
    except AttributeError:  # not a functional model
        plain = False
    if not plain:
        raise UserError(
            "--recompute needs towers that are graphs of layers, each called once, on "
            f"images of a known size. Received: {tower.name}. Train it without "
            "--recompute; --accumulate_steps saves memory too"
        )
    return layers


def _cuts(tower: keras.Model, layers: list[keras.layers.Layer]) -> list[int]:
    """Positions, counted in layers, behind which one float tensor carries on."""
    last_use: dict[int, int] = {id(tower.outputs[0]): len(layers)}
    for position, layer in enumerate(layers):
        for tensor in keras.tree.flatten(layer.input):
            last_use[id(tensor)] = max(position, last_use.get(id(tensor), 0))
    cuts, alive = [], {id(tower.inputs[0])}
    for position, layer in enumerate(layers, 1):
        alive.add(id(layer.output))
        alive = {tensor for tensor in alive if last_use.get(tensor, -1) >= position}
        if len(alive) == 1 and "float" in layer.output.dtype:
            cuts.append(position)
    return cuts


def _choose(layers: list[keras.layers.Layer], cuts: list[int]) -> list[int]:
    """Choose among the cuts; returns the edges of the blocks, both ends included."""
    inside = [0]  # bytes of all outputs before a position
    for layer in layers:
        counted = not isinstance(layer, UNCOUNTED)
        inside.append(inside[-1] + counted * bytes_of(layer.output))
    best: tuple[float, list[int]] = (math.inf, cuts)
    whole = inside[cuts[-1]]
    for step in range(LIMITS):
        # The largest block falls from the whole tower to a hundredth of it.
        limit = whole * 100 ** (-step / (LIMITS - 1))
        kept = {cuts[0]: (0, [cuts[0]])}  # position: least bytes kept, and the edges
        for end in cuts[1:]:
            ways = [
                (kept[start][0] + bytes_of(layers[start - 1].output), kept[start][1])
                for start in cuts[: cuts.index(end)]
                if start in kept and inside[end] - inside[start] <= limit
            ]
            if ways:
                least, edges = min(ways, key=lambda way: way[0])
                kept[end] = (least, [*edges, end])
        if cuts[-1] in kept:
            stored, edges = kept[cuts[-1]]
            largest = max(
                inside[b] - inside[a] for a, b in zip(edges, edges[1:], strict=False)
            )
            best = min(best, (stored + largest, edges), key=lambda way: way[0])
    return [0, *best[1]]


def _takes_training(layer: keras.layers.Layer) -> bool:
    return "training" in inspect.signature(layer.call).parameters
