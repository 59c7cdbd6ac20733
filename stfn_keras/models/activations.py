"""How much of a network's tensors a training step holds at once.

activation_bytes(network)  # per video: layers' outputs kept for the backward pass

Worked out from the graph of layers and the shapes of its tensors, before any of them
exists.
"""

import keras

from stfn_keras.models.blocks import Block, bytes_of, bytes_of_one
from stfn_keras.models.clip_max_pooling import ClipMaxPooling
from stfn_keras.models.feature_difference import FeatureDifference
from stfn_keras.models.layer_scale import LayerScale
from stfn_keras.models.recompute import RecomputedTower
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.window_mean import WindowMean

# What a layer's gradient is computed from; of a layer of another kind, its input.
FROM_OUTPUT = (
    ClipMaxPooling,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.Softmax,
)
FROM_NOTHING = (
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.Concatenate,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    FeatureDifference,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
    WindowMean,
)
LINEAR = (  # while they are frozen, nothing but their weights
    keras.layers.BatchNormalization,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    LayerScale,
)
GELU = 3  # its input, the error function of it, and half of their product
OF_OUTPUT = ("relu", "relu6", "sigmoid", "softmax", "tanh")  # as `Activation`
# Layers that compute in float32 in every precision, and so keep their input in it.
NORMALISATIONS = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)
# Tensors of a layer's own size that its gradient needs besides, for a moment: of a
# batch normalisation the normalised input, its moments' gradients and their sum.
MOMENTARY = 5
# Tensors of the output's size inside a layer of layers (a res-inception, a fusion).
INSIDE = 8


def activation_bytes(network: keras.Model) -> int:
    """Return the most memory, per video, that activations take in a training step.

    At each layer, backwards from the last, this is what the layers before it keep,
    and what its own gradient needs for a moment; the most of all layers counts. A
    tower that is computed again keeps what lies between its blocks, and one block.

    Args:
        network: From `build` or `build_head`, or a model that shares its layers.

    Returns:
        Bytes; the inputs are not counted.
    """
    kept, most = 0, 0
    for layer in network.layers:
        if isinstance(layer, TimeDistributed):
            steps = keras.tree.flatten(layer.input)[0].shape[1]
            here, peak = _tower_bytes(layer)
            most = max(most, kept + steps * peak)
            kept += steps * here
        elif not isinstance(layer, keras.layers.InputLayer):
            outputs = keras.tree.flatten(layer.output)
            copies = 1 if isinstance(layer, FROM_NOTHING) else INSIDE
            kept += sum(copies * bytes_of(tensor) for tensor in outputs)
    return max(most, kept)


def _tower_bytes(wrapper: TimeDistributed) -> tuple[int, int]:
    """Bytes per image that a tower keeps, and the most that it takes."""
    tower = wrapper.recomputed
    if not isinstance(tower, RecomputedTower):
        return _held(wrapper.layer.layers)
    kept = sum(bytes_of(block.output) for block in tower.blocks)
    return kept, kept + max(_held(_layers(block))[1] for block in tower.blocks)


def _layers(block: Block) -> list[keras.layers.Layer]:
    return list(block.layers)


def _held(layers: list[keras.layers.Layer]) -> tuple[int, int]:
    """Bytes that layers, in the order of execution, keep, and the most they take."""
    needed: dict[int, int] = {}  # by the tensor: bytes per byte of it
    learning = False
    for layer in layers:
        learning = learning or bool(layer.trainable_weights)
        for tensor in _needs(layer) if learning else ():
            copies = _copies(layer, tensor)
            needed[id(tensor)] = max(copies, needed.get(id(tensor), 0))
    kept = most = 0
    for layer in layers:
        size = bytes_of(layer.output)
        kept += size * needed.get(id(layer.output), 0)
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        normalises = normalises and layer.trainable
        most = max(most, kept + (MOMENTARY if normalises else 2) * size)
    return kept, most


def _needs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """The tensors that the gradient of a layer is computed from."""
    if isinstance(layer, FROM_OUTPUT):
        return [layer.output]
    if isinstance(layer, keras.layers.Activation):
        name = keras.activations.serialize(layer.activation)
        return [layer.output if name in OF_OUTPUT else layer.input]
    if isinstance(layer, LINEAR) and not layer.trainable_weights:
        return []
    if isinstance(layer, FROM_NOTHING):
        return []
    return keras.tree.flatten(layer.input)


def _copies(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> int:
    """How many times the size of a tensor its layer keeps of it."""
    if isinstance(layer, NORMALISATIONS) and bytes_of_one(tensor) == 2:
        return 2
    if isinstance(layer, keras.layers.Activation):
        return GELU if keras.activations.serialize(layer.activation) == "gelu" else 1
    return 1
