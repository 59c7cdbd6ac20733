"""Each network at its smallest.

With `use_small_resnet` where towers are linked, `use_small_clip_tower` for clips.
"""

import numpy as np

from stfn_keras.config import ModelConfig

LINKED = ("st_resnet", "st_multiplier")  # of ResNets alone
CLIPS = ("i3d",)  # of towers that read clips


def config_of(name, segments=3):
    tower = "resnet50" if name in LINKED else "i3d" if name in CLIPS else "tiny"
    larger = (*LINKED, *CLIPS, "off")  # of `off` for a map of two places
    size = 32 if name in larger else 16
    frames, pairs = (8, 8) if name in CLIPS else (2 if name == "four_stream" else 1, 2)
    return ModelConfig(
        network=name, tower=tower, segments=segments, rgb_size=size, flow_size=size,
        frames=frames, pairs=pairs, blocks=1, clusters=3,
        vlad_size=8, vlad_alpha=5.0, dropout=0.0,
    )  # fmt: skip


def videos(network, count=2, seed=0):
    draws = np.random.default_rng(seed)
    return {
        stream: draws.integers(1, 256, (count, *tensor.shape[1:]), "uint8")
        for stream, tensor in network.input.items()
    }
