"""The fixed weights by hand, and what they do to a sequence."""

from fractions import Fraction

import keras
import numpy as np
import pytest

from stfn_keras.models.rank_pooling import RankPooling, rank_weights


def test_weights_of_three_by_hand():
    """Terms -2, 0 and 2/3, each weight their sum from its place on."""
    np.testing.assert_allclose(rank_weights(3), [-4 / 3, 2 / 3, 2 / 3], rtol=1e-6)


def test_weights_of_ten_by_hand():
    terms = [Fraction(2 * i - 11, i) for i in range(1, 11)]
    expected = [float(sum(terms[t:])) for t in range(10)]
    np.testing.assert_allclose(rank_weights(10), expected, rtol=1e-6)
    # From 20 terms of 1 less 11 times the harmonic numbers: 20 - 11 (7381 / 2520).
    assert expected[0] == pytest.approx(20 - 11 * 7381 / 2520)
    assert expected[-1] == pytest.approx(9 / 10)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100])
def test_weights_sum_to_zero(steps):
    assert abs(rank_weights(steps).sum()) < 1e-4


def test_a_scaled_sum_over_time_of_whole_numbers():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 1), "uint8")
    expected = 0.1 * np.einsum("btijc,t->bijc", frames, rank_weights(3))
    received = RankPooling(scale=0.1)(frames)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


def test_another_axis_and_its_shape():
    x = np.random.default_rng(0).normal(size=(2, 7, 3, 5)).astype("float32")
    layer = RankPooling(axis=2)
    expected = np.stack([RankPooling()(x[:, t]) for t in range(7)], axis=1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)
    assert layer(keras.Input((7, 3, 5))).shape == (None, 7, 5)
    assert RankPooling.from_config(layer.get_config()).axis == 2


def test_what_stands_still_vanishes_and_what_rises_does_not():
    still = np.full((1, 10, 1), 255, "uint8")
    np.testing.assert_allclose(RankPooling()(still), [[0]], atol=1e-3)
    rising = np.arange(10, dtype="float32").reshape(1, 10, 1)
    assert RankPooling()(rising)[0, 0] > 0
    np.testing.assert_allclose(
        RankPooling()(rising[:, ::-1]), -np.array(RankPooling()(rising)), rtol=1e-5
    )


def test_half_precision_sums_in_float32():
    frames = np.random.default_rng(0).integers(0, 256, (1, 10, 8), "uint8")
    half = RankPooling(dtype="mixed_bfloat16")(frames)
    full = RankPooling()(frames)
    np.testing.assert_allclose(
        keras.ops.cast(half, "float32"), full, rtol=2**-8, atol=1e-3
    )
