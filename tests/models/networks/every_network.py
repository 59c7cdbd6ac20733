"""Each network at its smallest, with `use_small_resnet` where towers are linked."""

import numpy as np

from stfn_keras.config import ModelConfig

LINKED = ("st_resnet", "st_multiplier")  # of ResNets alone


def config_of(name, segments=3):
    tower = "resnet50" if name in LINKED else "tiny"
    size = 32 if name in (*LINKED, "off") else 16  # of `off` for a map of two places
    return ModelConfig(
        network=name, tower=tower, segments=segments, rgb_size=size, flow_size=size,
        frames=2 if name == "four_stream" else 1, pairs=2, blocks=1, clusters=3,
        vlad_size=8, vlad_alpha=5.0, dropout=0.0,
    )  # fmt: skip


def videos(network, count=2, seed=0):
    draws = np.random.default_rng(seed)
    return {
        stream: draws.integers(1, 256, (count, *tensor.shape[1:]), "uint8")
        for stream, tensor in network.input.items()
    }
