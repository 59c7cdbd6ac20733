"""The networks: STFN and the poster's baselines, from pixels or from features.

model = build(ModelConfig(tower="tiny"), classes=10)
model({"rgb": ..., "flow": ...})["scores"]  # (batch, 10)

Inputs are uint8; all scaling happens inside the towers.

The networks of independent segments (`spatial`, `temporal`, `late_fusion`) have no
temporal part: they ignore `temporal`, `zero_init`, `feature_norm`, `position`,
`aggregate` and `modality_dropout`, since a fusion network's towers are trained as such
networks from the same configuration. `late_fusion` heeds `combination`.
"""

from typing import Any

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.models.fusion import MERGES, MODULES, SpatioTemporalFusion
from stfn_keras.models.logits_fusion import LogitsFusion
from stfn_keras.models.modality_dropout import ModalityDropout
from stfn_keras.models.segment_attention import SegmentAttention
from stfn_keras.models.segment_position import SegmentPosition
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.towers import build_tower, input_channels, input_size

Tensors = dict[str, Any]
POOLINGS: dict[str, Any] = {
    "mean": keras.layers.GlobalAveragePooling1D,
    "max": keras.layers.GlobalMaxPooling1D,
    "attention": SegmentAttention,
}


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build a network from pixels to scores, with random weights.

    Args:
        config: Which network, tower, sizes and fusion.
        classes: How many classes to tell apart.

    Returns:
        A functional model. Its inputs are a dictionary of `rgb`, uint8
        `(batch, segments, size, size, 3)`, and `flow`, uint8
        `(batch, segments, size, size, 2 * pairs)` with 128 for no motion, as far
        as the network reads them. Its outputs are a dictionary of `logits` and
        `scores`, float32 `(batch, classes)`, and `rgb_logits` and `flow_logits`
        where each stream has a classifier of its own.

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs, features = {}, {}
    for stream in config.streams:
        size, channels = input_size(config, stream), input_channels(config, stream)
        inputs[stream] = keras.Input(
            (config.segments, size, size, channels), dtype="uint8", name=stream
        )
        # In mixed precision the layers inside have their own type; features have not.
        features[stream] = TimeDistributed(
            build_tower(config, stream), dtype="float32", name=f"{stream}_features"
        )(inputs[stream])  # (batch, segments, features)
    outputs = _classify(config, classes, features)
    return keras.Model(inputs, outputs, name=config.network)


def build_head(config: ModelConfig, classes: int, features: int) -> keras.Model:
    """Build the same network without its towers, for cached features.

    Layers have the same names as in `build`, so `copy_by_name` moves the weights.

    Args:
        config: Which network and fusion.
        classes: How many classes to tell apart.
        features: Length of the towers' feature vectors.

    Returns:
        A functional model. Its inputs are a dictionary of `rgb_features` and
        `flow_features`, float32 `(batch, segments, features)`, as far as the
        network reads them; its outputs are those of `build`.
    """
    tensors = {
        stream: keras.Input((config.segments, features), name=f"{stream}_features")
        for stream in config.streams
    }
    inputs = {f"{stream}_features": tensor for stream, tensor in tensors.items()}
    outputs = _classify(config, classes, tensors)
    return keras.Model(inputs, outputs, name=f"{config.network}_head")


def endpoints(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Name the tensors inside a network that one may want to look at.

    They are, as far as the network has them, `rgb_features` and `flow_features`
    (the towers' outputs), `rgb_norm`, `rgb_position` ..., `rgb_dynamics` and
    `flow_dynamics`, `fusion_1_rgb`, `fusion_1_flow` ..., `fused`, `rgb_pooled`,
    `rgb_logits` ..., `logits` and `scores`.

    Args:
        model: From `build` or `build_head`, also when loaded from a file.

    Returns:
        Symbolic tensors of the model's graph, in its order.
    """
    points = {}
    for layer in model.layers:
        if isinstance(layer, SpatioTemporalFusion):
            points[f"{layer.name}_rgb"], points[f"{layer.name}_flow"] = layer.output
        elif layer.name not in ("rgb", "flow", "modality_dropout"):
            points[layer.name] = layer.output
    return points


def _classify(config: ModelConfig, classes: int, features: Tensors) -> Tensors:
    """Build everything above the towers: fusion over time, classifiers, scores."""
    streams = dict(features)
    if not config.is_consensus:
        streams = _dynamics(config, features)

    heads = {stream: _head(config, classes, x, stream) for stream, x in streams.items()}
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


def _dynamics(config: ModelConfig, features: Tensors) -> Tensors:
    """Build the temporal part: (batch, segments, features) each, in and out."""
    module, options = MODULES[config.temporal], (config.width, config.zero_init)
    x = {
        stream: module(*options, name=f"{stream}_dynamics")(tensor)
        for stream, tensor in _placed(config, features).items()
    }
    pair = [x["rgb"], x["flow"]]
    if config.network == "feature_fusion":
        return {"fused": MERGES[config.fusion](name="fused")(pair)}
    for block in range(1, config.blocks + 1):
        pair = SpatioTemporalFusion(
            config.direction,
            config.fusion,
            config.residual,
            config.width,
            config.temporal,
            config.zero_init,
            name=f"fusion_{block}",
        )(pair)
    return {"rgb": pair[0], "flow": pair[1]}


def _placed(config: ModelConfig, features: Tensors) -> Tensors:
    """Build what stands before the temporal part, each as far as it is asked for."""
    x = dict(features)
    for stream in x:
        if config.feature_norm == "layer":
            norm = keras.layers.LayerNormalization(name=f"{stream}_norm")
            x[stream] = norm(x[stream])
        if config.position:
            x[stream] = SegmentPosition(name=f"{stream}_position")(x[stream])
    if config.modality_dropout:
        layer = ModalityDropout(config.modality_dropout, name="modality_dropout")
        x["rgb"], x["flow"] = layer([x["rgb"], x["flow"]])
    return x


def _head(config: ModelConfig, classes: int, x: Any, name: str) -> keras.KerasTensor:
    """Build pooling over time, dropout and classifier: (batch, classes), float32."""
    aggregate = "mean" if config.is_consensus else config.aggregate
    pooled = POOLINGS[aggregate](dtype="float32", name=f"{name}_pooled")
    dropout = keras.layers.Dropout(
        config.dropout, dtype="float32", name=f"{name}_dropout"
    )
    classifier = keras.layers.Dense(classes, dtype="float32", name=f"{name}_logits")
    return classifier(dropout(pooled(x)))
