"""Networks above the towers' pooled features: STFN, its ablations, the consensus ones.

The networks of independent segments (`spatial`, `temporal`, `late_fusion`,
`two_stream`, `tsn`, `four_stream`, `i3d`) have no temporal part: they ignore
`temporal`, `zero_init`, `feature_norm`, `feature_motion`, `position`, `aggregate` and
`modality_dropout`, since a fusion network's towers are trained as such networks from
the same configuration. They heed `rgb_motion` and `consensus`, and those of several
streams `combination`.
"""

from typing import Any

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.models.central_difference import CentralDifference
from stfn_keras.models.feature_gate import FeatureGate
from stfn_keras.models.feature_shift import FeatureShift
from stfn_keras.models.fusion import MERGES, MODULES, SpatioTemporalFusion
from stfn_keras.models.modality_dropout import ModalityDropout
from stfn_keras.models.networks.ends import (
    Tensors,
    classified,
    feature_inputs,
    scored,
    tower_features,
)
from stfn_keras.models.segment_attention import SegmentAttention
from stfn_keras.models.segment_consensus import MODES, SegmentConsensus
from stfn_keras.models.segment_position import SegmentPosition

POOLINGS: dict[str, Any] = {
    "mean": keras.layers.GlobalAveragePooling1D,
    "max": keras.layers.GlobalMaxPooling1D,
    "attention": SegmentAttention,
    "feature_max": keras.layers.GlobalMaxPooling1D,  # as "max", of a consensus
}
MOTIONS: dict[str, Any] = {
    "shift": FeatureShift,
    "gate": FeatureGate,
    "difference": CentralDifference,
}


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build a network from pixels to scores; see `models.build`."""
    inputs, features = tower_features(config)
    outputs = _classify(config, classes, features)
    return keras.Model(inputs, outputs, name=config.network)


def build_head(config: ModelConfig, classes: int, features: int) -> keras.Model:
    """Build the network without its towers; see `models.build_head`."""
    inputs, tensors = feature_inputs(config, features)
    outputs = _classify(config, classes, tensors)
    return keras.Model(inputs, outputs, name=f"{config.network}_head")


def _classify(config: ModelConfig, classes: int, features: Tensors) -> Tensors:
    """Build everything above the towers: fusion over time, classifiers, scores."""
    streams = dict(features)
    if not config.is_consensus:
        streams = _dynamics(config, features)

    heads = {stream: _head(config, classes, x, stream) for stream, x in streams.items()}
    return scored(config, heads)


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
        if motion := MOTIONS.get(config.feature_motion):
            name = f"{stream}_motion_{config.feature_motion}"
            x[stream] = motion(name=name)(x[stream])
        if config.position:
            x[stream] = SegmentPosition(name=f"{stream}_position")(x[stream])
    if config.modality_dropout:
        layer = ModalityDropout(config.modality_dropout, name="modality_dropout")
        x["rgb"], x["flow"] = layer([x["rgb"], x["flow"]])
    return x


def _head(config: ModelConfig, classes: int, x: Any, name: str) -> keras.KerasTensor:
    """Build what makes logits of segments' features: (batch, classes), float32."""
    aggregate = config.consensus if config.is_consensus else config.aggregate
    if config.is_consensus and aggregate in MODES:  # of logits: the classifier is first
        consensus = SegmentConsensus(
            aggregate, config.top_k, dtype="float32", name=f"{name}_consensus"
        )
        return consensus(classified(config, classes, x, name))
    pooled = POOLINGS[aggregate](dtype="float32", name=f"{name}_pooled")
    return classified(config, classes, pooled(x), name)
