"""Intervals against the binomial distribution and by hand."""

import numpy as np
import pytest
from evaluation.made_up_scores import made_up

from stfn_keras.evaluation.bootstrap import AT_ONCE, intervals, resampled
from stfn_keras.evaluation.metrics import accuracies


def two_classes(right, wrong):
    label = np.zeros(right + wrong, np.int64)
    logits = np.tile([1.0, 0.0], (right + wrong, 1))
    logits[right:] = [0.0, 1.0]
    return label, logits


def test_an_interval_is_as_wide_as_the_binomials():
    low, high = intervals(*two_classes(300, 100))["video_top1"]
    spread = np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * spread, abs=0.008)
    assert high == pytest.approx(0.75 + 1.96 * spread, abs=0.008)


def test_every_accuracy_has_one_around_it():
    scores = made_up(60, 8)
    found = intervals(scores.label, scores.logits)
    values = accuracies(scores.label, scores.logits)
    assert set(found) == set(values)
    assert all(low < values[name] < high for name, (low, high) in found.items())
    assert all(0 <= end <= 1 for ends in found.values() for end in ends)


def test_the_same_seed_gives_the_same_intervals():
    scores = made_up()
    one = intervals(scores.label, scores.logits)
    assert one == intervals(scores.label, scores.logits)
    assert one != intervals(scores.label, scores.logits, seed=1)


def test_resamples_are_those_of_accuracies(monkeypatch):
    """Drawn one by one, with the videos repeated, they are the same figures."""
    scores = made_up(20, 4)
    found = resampled(scores.label, scores.logits, resamples=5, seed=3)
    times = np.random.default_rng(3).multinomial(20, np.full(20, 1 / 20), 5)
    for place, counts in enumerate(times):
        rows = np.repeat(np.arange(20), counts)
        expected = accuracies(scores.label[rows], scores.logits[rows])
        assert {n: v[place] for n, v in found.items()} == pytest.approx(expected)


def test_all_right_is_all_right():
    assert intervals(*two_classes(5, 0))["mean_class_accuracy"] == (1.0, 1.0)


def test_resamples_come_in_bounded_parts():
    assert len(resampled(*two_classes(3, 1), AT_ONCE + 1)["video_top5"]) == AT_ONCE + 1
