"""I3D (Carreira and Zisserman, CVPR 2017): late fusion of two towers that read clips.

Each segment is a clip of its own, and the segments' features are averaged as those of
snippets are; with `--segments=1` a video is one clip. The network is that of
`late_fusion`, and the tower is what makes it I3D: `models/inception_v1.py`.
"""

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.networks import pooled
from stfn_keras.models.networks.pooled import build_head
from stfn_keras.models.towers import TOWERS

__all__ = ["build", "build_head", "check"]


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build the network from pixels to scores; see `models.build`.

    Raises:
        UserError: The tower does not read clips, or no clips of such streams.
    """
    check(config)
    return pooled.build(config, classes)


def check(config: ModelConfig) -> None:
    """Refuse towers of images, before any of them is trained.

    Raises:
        UserError: The tower does not read clips.
    """
    if not TOWERS[config.tower].time:
        known = ", ".join(name for name, tower in TOWERS.items() if tower.time)
        raise UserError(
            f"--network={config.network} is of towers that read clips: expected "
            f"--tower to be one of {known}. Received: {config.tower}"
        )
