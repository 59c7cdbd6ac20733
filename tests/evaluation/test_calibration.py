"""Calibration by hand."""

import numpy as np
import pytest

from stfn_keras.evaluation.calibration import expected_error, reliability

CHANCES = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.0, 1.0]])


def test_bins_by_hand():
    found = reliability(np.array([0, 1, 1, 1]), CHANCES, bins=5)
    assert found["videos"].tolist() == [0, 0, 1, 0, 3]  # 0.6 ends the third bin
    assert found["confidence"][4] == pytest.approx((0.9 + 0.9 + 1) / 3)
    assert found["accuracy"][4] == pytest.approx(2 / 3)
    assert np.isnan(found["accuracy"][0])


def test_the_error_by_hand():
    found = expected_error(np.array([0, 1, 1, 1]), CHANCES)
    assert found == pytest.approx((2 * abs(0.5 - 0.9) + 0.4 + 0) / 4)


def test_a_calibrated_network_has_none():
    draws = np.random.default_rng(0)
    sure = draws.uniform(0.5, 1, 50_000)
    chances = np.stack([sure, 1 - sure], axis=1)
    right = draws.random(50_000) < sure
    assert expected_error(np.where(right, 0, 1), chances) < 0.01
