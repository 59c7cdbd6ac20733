"""The estimate of a step's memory: by hand where that can be done, and its advice."""

import dataclasses

import keras
import numpy as np
import psutil
import pytest

from stfn_keras import models
from stfn_keras.config import ModelConfig, StageConfig
from stfn_keras.training import memory
from stfn_keras.training.engines.engine import Fitted
from stfn_keras.training.memory import estimate, free_memory
from stfn_keras.training.objective import Objective
from stfn_keras.training.optimizers import make_optimizer
from stfn_keras.training.precision import precision_scope

MB = 2**20


def fitted(
    tower: str = "tiny", size: int = 32, precision: str = "float32", parts: int = 1
) -> Fitted:
    config = ModelConfig(network="spatial", tower=tower, rgb_size=size, segments=2)
    with precision_scope(precision):
        network = models.build(config, classes=5)
    optimizer = make_optimizer(StageConfig(optimizer="adam", rate=1.0, ema=0.9), 1)
    optimizer.build(network.trainable_variables)
    return Fitted(network, Objective({"logits": 1.0}, 5), optimizer, parts)


def test_what_can_be_counted_is_counted():
    it = fitted()
    trained = 4 * sum(int(np.prod(w.shape)) for w in it.model.trainable_weights)
    others = 4 * sum(int(np.prod(w.shape)) for w in it.model.non_trainable_weights)
    needed = estimate(it, videos=8)
    assert trained + others <= needed.weights <= trained + others + 64  # and seeds
    # Adam's two moments, the averages, the count of steps and the rate.
    assert 3 * trained <= needed.optimizer <= 3 * trained + 64
    assert needed.gradients == trained
    assert needed.inputs == 3 * 8 * 2 * 32 * 32 * 3
    assert needed.total == needed.weights + needed.optimizer + needed.to_come


def test_activations_of_a_tower_by_hand():
    """Kept of each stage: what the normalisation, and what the next kernel, reads."""
    it = fitted()
    stages = ((16, 16), (8, 32), (4, 64), (2, 128))  # side, channels
    kept = sum(2 * side * side * channels * 4 for side, channels in stages)
    preprocessed = 32 * 32 * 3 * 4
    least = 2 * (kept + preprocessed)  # two segments
    # And what the first normalisation needs for a moment, five times its size.
    moment = 2 * (preprocessed + 6 * 16 * 16 * 16 * 4)
    assert models.activation_bytes(it.model) == max(least, moment)


def test_activations_grow_with_videos_and_shrink_with_parts_devices_and_precision():
    one, whole = estimate(fitted(), 1), estimate(fitted(), 16)
    assert whole.activations == 16 * one.activations
    parts = estimate(fitted(parts=4), 16)
    assert (parts.activations, parts.videos) == (whole.activations // 4, 4)
    assert parts.gradients == 2 * whole.gradients
    assert estimate(fitted(), 16, replicas=2).activations == whole.activations // 2
    half = estimate(fitted(precision="bfloat16"), 16)
    assert 0.5 < half.activations / whole.activations < 1.0
    assert half.weights > whole.weights  # the copies in half precision


def test_frozen_and_recomputed_towers_keep_less():
    it = fitted("resnet50", 64)
    plain = estimate(it, 8).activations
    tower = it.model.get_layer("rgb_features").layer
    models.recompute_towers(it.model)
    again = estimate(it, 8)
    assert again.recompute
    assert again.activations < 0.6 * plain
    models.recompute_towers(it.model, on=False)
    models.freeze(tower, 0.0, partial_batchnorm=True)
    partial = estimate(it, 8).activations
    models.freeze(tower, 0.5, partial_batchnorm=True)
    assert estimate(it, 8).activations < partial < plain


def test_a_line_to_read():
    line = str(estimate(fitted(), 8))
    assert line.startswith("a training step needs about ")
    assert "activations of 8 videos" in line
    assert "\n" not in line


def test_advice_says_what_would_do():
    needed = dataclasses.replace(
        estimate(fitted(), 16),
        gradients=10 * MB,
        activations=800 * MB,
        inputs=0,
        program=0,
    )
    assert needed.advice("rgb", None) == needed.advice("rgb", 810 * MB) == ""
    text = needed.advice("rgb", 300 * MB)
    assert "the rgb stage needs about 810 MB more memory and 300 MB are free" in text
    # 280 MB are left beside two copies of the gradients: 800 / 3 fit.
    assert "--rgb_accumulate_steps=3 " in text
    assert "--recompute" in text
    assert "--rgb_batch" in text
    text = dataclasses.replace(needed, recompute=True).advice("rgb", 15 * MB)
    assert "accumulate" not in text  # not even one video fits
    assert "--recompute" not in text
    assert "--recompute" not in needed.advice("fusion", 300 * MB)


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000\n", "memory.current": "700\n",
          "memory.stat": "anon 1\ninactive_file 50\n"}, 350),
        ({"memory.max": "max\n", "memory.current": "7\n", "memory.stat": "anon 1\n"},
         None),
        ({"memory/memory.limit_in_bytes": "900\n",
          "memory/memory.usage_in_bytes": "1000\n",
          "memory/memory.stat": "total_inactive_file 20\n"}, 0),
        ({}, None),
    ],
)  # fmt: skip
def test_a_containers_limit(tmp_path, monkeypatch, files, left):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    free = free_memory(devices=2)
    if left is not None:
        assert free == left // 2
    else:
        assert 0 < free <= psutil.virtual_memory().total // 2


def test_a_network_from_features_is_small():
    config = ModelConfig(segments=2, blocks=1)
    head = models.build_head(config, 5, 64)
    assert isinstance(head, keras.Model)
    assert 0 < models.activation_bytes(head) < MB
