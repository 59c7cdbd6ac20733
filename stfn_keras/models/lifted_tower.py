"""Towers with what `--rgb_motion` puts into them.

tower = lifted_tower(ModelConfig(tower="resnet50", rgb_motion="shift"), "rgb")
"""

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.motion_gate import with_motion_gate
from stfn_keras.models.residual_blocks import ACCEPTED, no_blocks
from stfn_keras.models.short_term_difference import with_short_term_difference
from stfn_keras.models.temporal_shift import with_temporal_shift
from stfn_keras.models.towers import TOWERS, build_tower

STAGE = "stage2"  # where TDN's differences go


def lifted_tower(config: ModelConfig, stream: str) -> keras.Model:
    """Build a stream's tower; that of RGB with the layers of `config.rgb_motion`.

    Layers that the plain tower has too keep their names, and those that are new are
    `Lift`s. A tower that mixes segments reads `config.segments` consecutive images
    of its batch as one video.

    Args:
        config: Names the tower, the sizes and the lift.
        stream: One of `STREAMS`.

    Returns:
        A model as `build_tower` gives it, with random weights.

    Raises:
        UserError: The tower cannot take an input of the configured size, or has no
            place for the lift.
    """
    tower = build_tower(config, stream)
    if stream != "rgb" or not config.lifts_rgb:
        return tower
    check_lift(config)
    if config.rgb_motion == "shift":
        return with_temporal_shift(tower, config.segments)
    if config.rgb_motion == "gate":
        return with_motion_gate(tower, config.segments)
    known = TOWERS[config.tower]
    return with_short_term_difference(tower, known.mode, known.taps[STAGE])


def check_lift(config: ModelConfig) -> None:
    """Refuse a lift that the tower has no place for, before the tower is built.

    Raises:
        UserError: Says which towers have one.
    """
    if not config.lifts_rgb:
        return
    received = f"--tower={config.tower}"
    if config.mixes_segments and config.tower not in ACCEPTED:
        raise no_blocks(f"rgb_motion={config.rgb_motion}", received)
    if not config.mixes_segments and STAGE not in TOWERS[config.tower].taps:
        offering = [name for name, tower in TOWERS.items() if STAGE in tower.taps]
        raise UserError(
            f"--rgb_motion=difference is added to the maps of {STAGE}: expected "
            f"--tower to be one of {', '.join(offering)}. Received: {received}"
        )
