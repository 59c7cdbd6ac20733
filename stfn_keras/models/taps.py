"""Towers that also give the maps of their stages, not their pooled features alone.

tower = tapped_tower(config, "rgb", ["stage4", "features"])
tower(images)["stage4"].shape  # (batch, 14, 14, 1024) of a ResNet at 224 pixels
"""

from collections.abc import Sequence

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.lifted_tower import lifted_tower
from stfn_keras.models.towers import TOWERS

FEATURES = "features"  # the pooled features, as `lifted_tower` gives them


def tapped_tower(config: ModelConfig, stream: str, names: Sequence[str]) -> keras.Model:
    """Build one stream's tower with several outputs, with random weights.

    Its layers are those of `lifted_tower` under the same names, up to the last that an
    output needs: all of them where `features` is among the outputs. `copy_by_name`
    moves the weights of a trained tower into it, and `freeze` counts its layers.

    `stage2` ... `stage5` are the last maps of strides 4, 8, 16 and 32 pixels, `stage5`
    the last before pooling. The strides of Inception-v3 are near these: it does not
    pad. The tower `tiny` ends at a stride of 16: that is its `stage5`, and it has no
    `stage4`. ConvNeXt normalises behind its pooling: its maps are not normalised.

    Args:
        config: Names the tower and the sizes.
        stream: One of `STREAMS`.
        names: Of the outputs: stages, and `features`.

    Returns:
        A model from uint8 `(batch, size, size, channels)` to a dictionary by those
        names, of maps `(batch, height, width, channels)` and features `(batch,
        features)`, float32 also in mixed precision.

    Raises:
        UserError: The tower has no such stage, or cannot take an input of the
            configured size.
    """
    check_taps(config, names)
    tower, taps = lifted_tower(config, stream), TOWERS[config.tower].taps
    outputs = {}
    for name in names:
        if name == FEATURES:
            outputs[name] = tower.outputs[0]
            continue
        # In mixed precision the tower's own tensors are of half precision.
        end = keras.layers.Identity(dtype="float32", name=name)
        outputs[name] = end(tower.get_layer(taps[name]).output)
    return keras.Model(tower.inputs[0], outputs, name=tower.name)


def check_taps(config: ModelConfig, names: Sequence[str]) -> None:
    """Raise UserError where the configured tower lacks an output of these names."""
    taps = TOWERS[config.tower].taps
    for name in names:
        if name != FEATURES and name not in taps:
            offering = [tower for tower in TOWERS if name in TOWERS[tower].taps]
            raise UserError(
                f"expected a tower with the maps {name}: "
                f"{', '.join(offering) or 'there is none'}. Received: "
                f"--tower={config.tower}, which has {', '.join((*taps, FEATURES))}"
            )
