"""The tiny tower tells opposite motions apart."""

import numpy as np

from stfn_keras.config import ModelConfig
from stfn_keras.models import build_tower


def test_opposite_motions_give_different_features():
    tower = build_tower(ModelConfig(tower="tiny", flow_size=32), "flow")
    still = np.full((1, 32, 32, 10), 128, "uint8")
    assert not np.any(tower(still))
    up, down = np.array(tower(still + 40)), np.array(tower(still - 40))
    assert np.abs(up - down).max() > 0.5 * np.abs(up).max()


def test_size():
    tower = build_tower(ModelConfig(tower="tiny"), "rgb")
    assert tower.input_shape == (None, 64, 64, 3)
    assert tower.count_params() < 100_000
