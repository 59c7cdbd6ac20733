"""Batch normalisation over all devices of a step, so that their number is no setting.

network = build(config, classes)
synchronize_batchnorm(network)  # before the training step is traced
"""

import keras


def synchronize_batchnorm(network: keras.Model, on: bool = True) -> int:
    """Let every batch normalisation take its moments over all replicas of a step.

    Two devices that share a batch then compute what one computes on the whole of it:
    the same outputs, gradients and moving statistics. Wherever the layers are: in the
    network, in its towers, inside fusion blocks.

    Only TensorFlow's strategies need it. JAX splits one program over its devices, in
    which a batch's moments are those of the whole batch: nothing is changed there.

    A graph traced earlier keeps what it was traced with. The setting is part of a
    layer's configuration, and Keras refuses it on other backends: switch it off again
    before a network is saved as a whole (weights files do not hold it).

    Args:
        network: From `build` or `build_head`; frozen layers use no moments.
        on: False lets each replica take its own moments, as Keras does by default.

    Returns:
        How many layers were set.
    """
    if keras.backend.backend() != "tensorflow":
        return 0
    layers = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.synchronized = on
    return len(layers)
