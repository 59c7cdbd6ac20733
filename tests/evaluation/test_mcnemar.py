"""McNemar's test against counts by hand and SciPy's binomial test."""

import math

import numpy as np
import pytest

from stfn_keras.evaluation.mcnemar import discordant, exact, holm, over_seeds


def test_only_videos_on_which_the_two_differ_count():
    ours = np.array([1, 1, 1, 0, 0, 1], bool)
    theirs = np.array([1, 0, 0, 1, 0, 1], bool)
    assert discordant(ours, theirs) == (2, 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (3, 1, 10 / 16),
     (4, 4, 1.0), (9, 2, 2 * (1 + 11 + 55) / 2**11)],
)  # fmt: skip
def test_by_hand(ours, theirs, p):
    assert exact(ours, theirs) == pytest.approx(p)
    assert exact(theirs, ours) == exact(ours, theirs)


def test_of_thousands_of_videos():
    """Sums of binomial coefficients beyond a float's range."""
    assert exact(2000, 2000) == 1.0
    # The normal approximation with continuity correction: z = 4.73.
    assert exact(2150, 1850) == pytest.approx(2.3e-6, rel=0.05)
    assert 0.0 <= exact(5000, 10) < 1e-300


def test_over_seeds_takes_the_middle_and_pays_for_it():
    assert over_seeds([0.01]) == 0.01
    assert over_seeds([0.2, 0.01, 0.03]) == pytest.approx(0.03 * 3 / 2)
    assert over_seeds([0.2, 0.01]) == pytest.approx(0.2)
    assert over_seeds([0.9, 0.9, 0.9]) == 1.0


def test_holm_by_hand():
    adjusted = holm([0.01, math.nan, 0.04, 0.03])
    assert adjusted[0] == pytest.approx(0.03)
    assert math.isnan(adjusted[1])
    assert adjusted[3] == pytest.approx(0.06)
    assert adjusted[2] == pytest.approx(0.06)  # never below a smaller one
