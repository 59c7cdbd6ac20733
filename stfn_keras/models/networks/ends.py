"""Where networks begin and end alike: inputs, pooled features, scores.

inputs, features = tower_features(config)  # or feature_inputs(config, 2048)
heads = {stream: classify(x) for stream, x in features.items()}
keras.Model(inputs, scored(config, heads), name=config.network)
"""

from typing import Any

import keras

from stfn_keras.config import STREAMS, ModelConfig
from stfn_keras.models.lifted_tower import lifted_tower
from stfn_keras.models.logits_fusion import LogitsFusion
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.towers import input_channels, input_size

Tensors = dict[str, Any]


def pixel_inputs(config: ModelConfig) -> Tensors:
    """The pixels that a network reads, uint8 (batch, segments, size, size, channels).

    They are `rgb` and `flow`, as far as its streams read them.

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs = {}
    for name in config.inputs:
        size, channels = input_size(config, name), input_channels(config, name)
        shape = (config.segments, size, size, channels)
        inputs[name] = keras.Input(shape, dtype="uint8", name=name)
    return inputs


def stream_pixels(config: ModelConfig, inputs: Tensors) -> Tensors:
    """By stream, which of the `pixel_inputs` its tower reads."""
    return {stream: inputs[STREAMS[stream].reads] for stream in config.streams}


def tower_features(config: ModelConfig) -> tuple[Tensors, Tensors]:
    """A network's inputs, and its towers' pooled features of each segment.

    Returns:
        The inputs of `pixel_inputs`, and by stream float32
        (batch, segments, features).

    Raises:
        UserError: The tower cannot take an input of the configured size, or has no
            place for `rgb_motion`.
    """
    inputs, features = pixel_inputs(config), {}
    for stream, tensor in stream_pixels(config, inputs).items():
        # In mixed precision the layers inside have their own type; features have not.
        wrapper = TimeDistributed(
            lifted_tower(config, stream), dtype="float32", name=f"{stream}_features"
        )
        features[stream] = wrapper(tensor)
    return inputs, features


def feature_inputs(config: ModelConfig, size: int) -> tuple[Tensors, Tensors]:
    """The same features as inputs, for a network without its towers.

    Args:
        config: Which streams and how many segments.
        size: Length of a feature vector.

    Returns:
        The inputs `rgb_features` ..., and the same by stream, float32
        (batch, segments, size).
    """
    features = {
        stream: keras.Input((config.segments, size), name=f"{stream}_features")
        for stream in config.streams
    }
    return {f"{stream}_features": x for stream, x in features.items()}, features


def classified(
    config: ModelConfig, classes: int, x: Any, name: str
) -> keras.KerasTensor:
    """Dropout and a linear classifier, `<name>_dropout` and `<name>_logits`.

    Args:
        config: `dropout` is read.
        classes: How many classes to tell apart.
        x: Features, `(..., features)`.
        name: Of the stream, or of what else is classified.

    Returns:
        Logits, float32 `(..., classes)`, also in mixed precision.
    """
    dropout = keras.layers.Dropout(
        config.dropout, dtype="float32", name=f"{name}_dropout"
    )
    head = keras.layers.Dense(classes, dtype="float32", name=f"{name}_logits")
    return head(dropout(x))


def scored(config: ModelConfig, heads: Tensors) -> Tensors:
    """The outputs of a network, from the logits of one or several classifiers.

    Args:
        config: The weights of its streams and `combination` are read.
        heads: By stream, float32 (batch, classes); or one alone, whatever its name.

    Returns:
        `logits` and `scores`, and `rgb_logits` and so on where there are several.
    """
    outputs = {}
    if len(heads) > 1:
        fusion = LogitsFusion(
            config.stream_weights, config.combination, dtype="float32", name="logits"
        )
        logits = fusion([heads[stream] for stream in config.streams])
        outputs = {f"{stream}_logits": head for stream, head in heads.items()}
    else:
        (head,) = heads.values()
        logits = keras.layers.Identity(dtype="float32", name="logits")(head)
    scores = keras.layers.Softmax(dtype="float32", name="scores")(logits)
    return {"logits": logits, "scores": scores, **outputs}
