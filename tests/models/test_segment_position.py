"""A vector for each segment, nothing at first."""

import keras
import numpy as np
import pytest

from stfn_keras.models import SegmentPosition

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def test_zero_at_first_and_then_one_vector_per_segment():
    layer = SegmentPosition()
    np.testing.assert_array_equal(layer(X), X)
    vectors = np.arange(12, dtype="float32").reshape(3, 4)
    layer.position.assign(vectors)
    np.testing.assert_array_equal(layer(X), X + vectors)


def test_the_number_of_segments_must_be_known():
    with pytest.raises(ValueError, match="segments must be known"):
        SegmentPosition()(keras.Input((None, 4)))
