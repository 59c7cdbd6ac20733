"""The networks, in Keras alone: they run on any of its backends.

from stfn_keras import models
from stfn_keras.config import ModelConfig

model = models.build(ModelConfig(tower="tiny", segments=4), classes=10)
tower = model.get_layer("flow_features").layer
models.load_tower_weights(tower, "flow", config, "tower.weights.h5")

A network is a functional model; `endpoints` names the tensors inside it.
"""

from stfn_keras.models.activations import activation_bytes
from stfn_keras.models.central_difference import CentralDifference
from stfn_keras.models.clip_max_pooling import ClipMaxPooling
from stfn_keras.models.feature_difference import FeatureDifference
from stfn_keras.models.feature_gate import FeatureGate
from stfn_keras.models.feature_shift import FeatureShift
from stfn_keras.models.fold_time import FoldTime
from stfn_keras.models.fusion import SpatioTemporalFusion
from stfn_keras.models.lift import Lift, mixes_segments, without_lifts
from stfn_keras.models.lifted_tower import lifted_tower
from stfn_keras.models.logits_fusion import LogitsFusion
from stfn_keras.models.modality_dropout import ModalityDropout
from stfn_keras.models.motion_gate import MotionGate, with_motion_gate
from stfn_keras.models.network import (
    build,
    build_head,
    check,
    endpoints,
    initialise,
    take_towers,
    tower_layers,
)
from stfn_keras.models.preprocessing import Preprocess
from stfn_keras.models.published import load_kinetics, load_tower_variables
from stfn_keras.models.rank_pooling import RankPooling
from stfn_keras.models.recompute import recompute_towers
from stfn_keras.models.res_inception import TemporalResInception
from stfn_keras.models.segment_attention import SegmentAttention
from stfn_keras.models.segment_consensus import SegmentConsensus
from stfn_keras.models.segment_position import SegmentPosition
from stfn_keras.models.short_term_difference import with_short_term_difference
from stfn_keras.models.sobel import Sobel
from stfn_keras.models.synchronized import synchronize_batchnorm
from stfn_keras.models.taps import tapped_tower
from stfn_keras.models.temporal_convolution import TemporalConvolution
from stfn_keras.models.temporal_max_pooling import TemporalMaxPooling
from stfn_keras.models.temporal_mlp import TemporalMLP
from stfn_keras.models.temporal_shift import TemporalShift, with_temporal_shift
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.towers import (
    TOWERS,
    build_tower,
    feature_size,
    input_channels,
    input_size,
)
from stfn_keras.models.vlad import VLAD
from stfn_keras.models.weight_files import weighted_layers
from stfn_keras.models.weights import (
    copy_by_name,
    freeze,
    leaves,
    load_tower_weights,
    set_batchnorm_momentum,
)
from stfn_keras.models.window_mean import WindowMean

__all__ = [
    "TOWERS",
    "VLAD",
    "CentralDifference",
    "ClipMaxPooling",
    "FeatureDifference",
    "FeatureGate",
    "FeatureShift",
    "FoldTime",
    "Lift",
    "LogitsFusion",
    "ModalityDropout",
    "MotionGate",
    "Preprocess",
    "RankPooling",
    "SegmentAttention",
    "SegmentConsensus",
    "SegmentPosition",
    "Sobel",
    "SpatioTemporalFusion",
    "TemporalConvolution",
    "TemporalMLP",
    "TemporalMaxPooling",
    "TemporalResInception",
    "TemporalShift",
    "TimeDistributed",
    "WindowMean",
    "activation_bytes",
    "build",
    "build_head",
    "build_tower",
    "check",
    "copy_by_name",
    "endpoints",
    "feature_size",
    "freeze",
    "initialise",
    "input_channels",
    "input_size",
    "leaves",
    "lifted_tower",
    "load_kinetics",
    "load_tower_variables",
    "load_tower_weights",
    "mixes_segments",
    "recompute_towers",
    "set_batchnorm_momentum",
    "synchronize_batchnorm",
    "take_towers",
    "tapped_tower",
    "tower_layers",
    "weighted_layers",
    "with_motion_gate",
    "with_short_term_difference",
    "with_temporal_shift",
    "without_lifts",
]
