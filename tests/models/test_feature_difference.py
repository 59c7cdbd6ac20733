"""From each segment to the next, and what one segment alone gives."""

import keras
import numpy as np
import pytest

from stfn_keras.models.feature_difference import FeatureDifference

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 5)).astype("float32")


def test_the_later_minus_the_earlier():
    np.testing.assert_array_equal(FeatureDifference()(X), X[:, 1:] - X[:, :-1])


def test_one_segment_has_one_pair_that_does_not_differ():
    received = FeatureDifference()(X[:, :1])
    np.testing.assert_array_equal(received, np.zeros((2, 1, 4, 4, 5)))


@pytest.mark.parametrize(("segments", "pairs"), [(1, 1), (2, 1), (7, 6)])
def test_shapes(segments, pairs):
    inputs = keras.Input((segments, 4, 4, 5))
    assert FeatureDifference()(inputs).shape == (None, pairs, 4, 4, 5)


def test_the_number_of_segments_must_be_known():
    with pytest.raises(ValueError, match="segments must be known"):
        FeatureDifference()(keras.Input((None, 4)))
