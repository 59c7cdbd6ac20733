"""A ResNet of two stages of two units and few channels, with the large ones' names.

use_small_resnet(monkeypatch)  # --tower=resnet50 is then that one
"""

import keras
import numpy as np
from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1

from stfn_keras.models import towers

SIZE = 32
FEATURES = 4 * 8


def small_resnet(inputs):
    def stages(x):
        x = stack_residual_blocks_v1(x, 4, 2, 1, name="conv2")
        return stack_residual_blocks_v1(x, 8, 2, 2, name="conv3")

    maps = ResNet(
        stages, preact=False, use_bias=True, include_top=False, weights=None,
        input_tensor=inputs, name="small", weights_name="none",
    ).output  # fmt: skip
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(maps)


def use_small_resnet(monkeypatch):
    taps = {"stage2": "conv2_block2_out", "stage5": "conv3_block2_out"}
    tower = towers.Tower(small_resnet, FEATURES, "tf", SIZE, taps=taps)
    monkeypatch.setitem(towers.TOWERS, "resnet50", tower)


def use_one_stage(monkeypatch):
    """A ResNet that trains in seconds: one stage, small inputs."""

    def body(inputs):
        maps = ResNet(
            lambda x: stack_residual_blocks_v1(x, 2, 2, 1, name="conv2"),
            preact=False, use_bias=True, include_top=False, weights=None,
            input_tensor=inputs, name="small", weights_name="none",
        ).output  # fmt: skip
        pool = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")
        return pool(maps)

    taps = {"stage2": "conv2_block1_out", "stage5": "conv2_block2_out"}
    tower = towers.Tower(body, 8, "tf", 16, 16, taps=taps)
    monkeypatch.setitem(towers.TOWERS, "resnet50", tower)


def randomise(model, seed=0):
    """Give every weight a value of its own, statistics of batch norms too."""
    draws = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("moving_variance", "gamma"):
            weight.assign(draws.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("moving_mean", "beta", "bias"):
            weight.assign(draws.normal(0, 0.1, weight.shape))
        elif "seed" not in weight.name:
            scale = np.sqrt(2 / max(1, np.prod(weight.shape[:-1])))
            weight.assign(draws.normal(0, scale, weight.shape))


def videos(segments, still=False, seed=0):
    """Two videos of both streams, of one repeated segment or of different ones."""
    draws = np.random.default_rng(seed)
    shape = (2, 1 if still else segments, SIZE, SIZE)
    rgb = draws.integers(0, 256, (*shape, 3), "uint8")
    flow = draws.integers(1, 256, (*shape, 4), "uint8")
    times = segments if still else 1
    return {"rgb": rgb.repeat(times, axis=1), "flow": flow.repeat(times, axis=1)}
