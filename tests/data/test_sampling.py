"""Segments partition the stored snippets; fixed positions are the TSN ones."""

import numpy as np
import pytest

from stfn_keras.data import sampling
from stfn_keras.errors import UserError


@pytest.mark.parametrize("segments", [1, 3, 5, 7, 9, 25])
def test_segments_partition_the_snippets(segments):
    bounds = sampling.segment_bounds(25, segments)
    lengths = np.diff(bounds)
    assert bounds[0] == 0
    assert bounds[-1] == 25
    assert lengths.min() >= 1
    assert lengths.max() - lengths.min() <= 1


def test_one_sampling_takes_the_centres():
    assert sampling.fixed_positions(25, 5, 1).tolist() == [[2, 7, 12, 17, 22]]


def test_a_tower_takes_every_snippet_once():
    assert sampling.fixed_positions(25, 1, 25)[:, 0].tolist() == list(range(25))


@pytest.mark.parametrize("segments", [3, 5, 7, 9, 25])
def test_samplings_of_one_segment_are_one_sampling_of_segments(segments):
    """A tower sees in evaluation what it sees when exported with T segments."""
    once = sampling.fixed_positions(25, segments, 1)[0]
    assert sampling.fixed_positions(25, 1, segments)[:, 0].tolist() == once.tolist()


def test_more_samplings_than_snippets_repeat_some():
    assert sampling.fixed_positions(3, 3, 4).tolist() == [[0, 1, 2]] * 4


def test_samplings_stay_in_their_segments():
    bounds = sampling.segment_bounds(25, 7)
    found = sampling.fixed_positions(25, 7, 10)
    assert found.shape == (10, 7)
    assert (found >= bounds[:-1]).all()
    assert (found < bounds[1:]).all()


def test_more_segments_than_snippets_is_refused():
    with pytest.raises(UserError, match="25 snippets per video, too few for 26"):
        sampling.fixed_positions(25, 26, 1)
