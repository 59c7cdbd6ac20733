"""Where networks begin and end alike: inputs, pooled features, scores.

inputs, features = tower_features(config)  # or feature_inputs(config, 2048)
heads = {stream: classify(x) for stream, x in features.items()}
keras.Model(inputs, scored(config, heads), name=config.network)
"""

from typing import Any

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.models.logits_fusion import LogitsFusion
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.towers import build_tower, input_channels, input_size

Tensors = dict[str, Any]


def stream_inputs(config: ModelConfig) -> Tensors:
    """The inputs of a network's streams, uint8 (batch, segments, size, size, channels).

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs = {}
    for stream in config.streams:
        size, channels = input_size(config, stream), input_channels(config, stream)
        shape = (config.segments, size, size, channels)
        inputs[stream] = keras.Input(shape, dtype="uint8", name=stream)
    return inputs


def tower_features(config: ModelConfig) -> tuple[Tensors, Tensors]:
    """A network's inputs, and its towers' pooled features of each segment.

    Returns:
        By stream, the inputs of `stream_inputs`, and float32
        (batch, segments, features).

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs, features = stream_inputs(config), {}
    for stream, tensor in inputs.items():
        # In mixed precision the layers inside have their own type; features have not.
        wrapper = TimeDistributed(
            build_tower(config, stream), dtype="float32", name=f"{stream}_features"
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
    """The outputs of a network, from the logits of one or of each of two classifiers.

    Args:
        config: `flow_weight` and `combination` are read.
        heads: By stream, float32 (batch, classes); or one alone, whatever its name.

    Returns:
        `logits` and `scores`, and `rgb_logits` and `flow_logits` where there are two.
    """
    outputs = {}
    if len(heads) == 2:
        fusion = LogitsFusion(
            config.flow_weight, config.combination, dtype="float32", name="logits"
        )
        logits = fusion([heads["rgb"], heads["flow"]])
        outputs = {f"{stream}_logits": head for stream, head in heads.items()}
    else:
        (head,) = heads.values()
        logits = keras.layers.Identity(dtype="float32", name="logits")(head)
    scores = keras.layers.Softmax(dtype="float32", name="scores")(logits)
    return {"logits": logits, "scores": scores, **outputs}
