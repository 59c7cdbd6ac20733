"""Every setting of the program, as frozen dataclasses.

    model = ModelConfig(tower="resnet101", segments=7)
    model = dataclasses.replace(model, blocks=1)

Flags are made from these classes once (`stfn_keras.flags`); every run writes
the resolved values to its `config.json`, and every exported model carries them.
Marks: P stated by the poster, T taken from a named public source, C our choice.
"""

from stfn_keras.config.machine import DEFAULT_MACHINE, STRATEGIES, MachineConfig
from stfn_keras.config.model import (
    AGGREGATES,
    COMBINATIONS,
    CONSENSUSES,
    DIRECTIONS,
    FEATURE_NORMS,
    FUSIONS,
    MOTIONS,
    RESIDUALS,
    TEMPORALS,
    TOWERS,
    ModelConfig,
)
from stfn_keras.config.networks import NETWORKS, Network
from stfn_keras.config.options import (
    check_at_least,
    check_choices,
    option,
)
from stfn_keras.config.preparation import (
    FLOW_BOUND,
    LAYOUTS,
    PreparationConfig,
)
from stfn_keras.config.streams import STREAMS, Stream
from stfn_keras.config.training import (
    END_TO_END_STAGE,
    FLOW_STAGE,
    FUSION_STAGE,
    PRECISIONS,
    RGB_STAGE,
    STAGES,
    PixelStageConfig,
    StageConfig,
    TowerStageConfig,
    TrainingConfig,
)

__all__ = [
    "AGGREGATES",
    "COMBINATIONS",
    "CONSENSUSES",
    "DEFAULT_MACHINE",
    "DIRECTIONS",
    "END_TO_END_STAGE",
    "FEATURE_NORMS",
    "FLOW_BOUND",
    "FLOW_STAGE",
    "FUSIONS",
    "FUSION_STAGE",
    "LAYOUTS",
    "MOTIONS",
    "NETWORKS",
    "PRECISIONS",
    "RESIDUALS",
    "RGB_STAGE",
    "STAGES",
    "STRATEGIES",
    "STREAMS",
    "TEMPORALS",
    "TOWERS",
    "MachineConfig",
    "ModelConfig",
    "Network",
    "PixelStageConfig",
    "PreparationConfig",
    "StageConfig",
    "Stream",
    "TowerStageConfig",
    "TrainingConfig",
    "check_at_least",
    "check_choices",
    "option",
]
