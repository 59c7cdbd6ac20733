import importlib.util
import math

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.trajectories import fisher
from stfn_keras.trajectories.classifier import decision_values, products
from stfn_keras.trajectories.fisher import Gaussians, fit_codebook

CLUSTERS, HALF = 3, 2


@pytest.fixture
def kind():
    draws = np.random.default_rng(0)
    axes = np.linalg.qr(draws.normal(size=(2 * HALF, 2 * HALF)))[0][:HALF]
    return Gaussians(
        mean=draws.normal(size=2 * HALF),
        axes=axes,
        weights=np.array([0.2, 0.5, 0.3]),
        means=draws.normal(size=(CLUSTERS, HALF)),
        variances=draws.uniform(0.5, 2, (CLUSTERS, HALF)),
    )


def by_the_formula(kind, descriptors):
    """One descriptor, one Gaussian, one number at a time."""
    by_mean = np.zeros((CLUSTERS, HALF))
    by_deviation = np.zeros((CLUSTERS, HALF))
    for descriptor in descriptors:
        point = [float(np.dot(axis, descriptor - kind.mean)) for axis in kind.axes]
        chances = []
        for k in range(CLUSTERS):
            chance = kind.weights[k]
            for d in range(HALF):
                variance = kind.variances[k, d]
                distance = (point[d] - kind.means[k, d]) ** 2 / variance
                chance *= math.exp(-distance / 2) / math.sqrt(2 * math.pi * variance)
            chances.append(chance)
        for k in range(CLUSTERS):
            share = chances[k] / sum(chances)
            for d in range(HALF):
                away = (point[d] - kind.means[k, d]) / math.sqrt(kind.variances[k, d])
                root = math.sqrt(kind.weights[k])
                by_mean[k, d] += share * away / root
                by_deviation[k, d] += share * (away**2 - 1) / (math.sqrt(2) * root)
    vector = np.concatenate([by_mean.ravel(), by_deviation.ravel()]) / len(descriptors)
    powered = [math.copysign(math.sqrt(abs(x)), x) for x in vector]
    return np.array(powered) / math.sqrt(sum(x * x for x in powered))


def test_a_fisher_vector_is_that_of_the_formula(kind, monkeypatch):
    descriptors = np.random.default_rng(1).normal(size=(50, 2 * HALF))
    expected = by_the_formula(kind, descriptors)
    found = kind.encode(descriptors)
    assert found.shape == (2 * CLUSTERS * HALF,) == (kind.width,)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    monkeypatch.setattr(fisher, "CHUNK", 7)
    np.testing.assert_allclose(kind.encode(descriptors), expected, rtol=1e-9)


def test_no_descriptors_are_zeros(kind):
    assert not kind.encode(np.zeros((0, 2 * HALF))).any()


def test_far_points_have_responsibilities(kind):
    found = kind.responsibilities(np.array([[1e3, -1e3]]))
    assert np.isfinite(found).all() and found.sum() == pytest.approx(1)


def test_a_codebook_finds_the_gaussians_of_its_sample():
    draws = np.random.default_rng(0)
    centres = np.array([[5, 0, 0, 0], [-5, 3, 0, 0]])
    which = draws.integers(0, 2, 2000)
    sample = centres[which] + draws.normal(size=(2000, 4)) * (0.5, 0.3, 0.1, 0.1)
    codebook = fit_codebook(np.hstack([sample, sample[:, :2]]), (4,), 2, seed=0)
    first, second = codebook.kinds
    assert first.means.shape == (2, 2) and second.means.shape == (2, 1)
    back = first.means @ first.axes + first.mean
    np.testing.assert_allclose(back[np.argsort(-back[:, 0])], centres, atol=0.05)
    np.testing.assert_allclose(first.weights.sum(), 1)
    assert codebook.width == 2 * 2 * 2 + 2 * 2 * 1
    vector = codebook.encode(np.hstack([sample, sample[:, :2]])[:9].astype(np.float16))
    assert vector.dtype == np.float32 and vector.shape == (codebook.width,)
    np.testing.assert_allclose(np.linalg.norm(vector[:8]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vector[8:]), 1, rtol=1e-5)


def test_a_seed_gives_the_same_codebook():
    sample = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float16)
    one, two = (fit_codebook(sample, (2,), 4, seed=3) for _ in range(2))
    for left, right in zip(one.kinds, two.kinds, strict=True):
        np.testing.assert_array_equal(left.means, right.means)
        np.testing.assert_array_equal(left.variances, right.variances)


def test_too_few_descriptors_are_refused():
    with pytest.raises(UserError, match="--clusters must not exceed the training"):
        fit_codebook(np.zeros((3, 4)), (2,), 4, seed=0)


def test_a_missing_package_is_one_line_with_a_hint(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install '\.\[trajectories\]'"):
        fit_codebook(np.zeros((9, 4)), (2,), 4, seed=0)


def test_products_are_inner_products_in_blocks():
    draws = np.random.default_rng(0)
    first, second = draws.normal(size=(700, 5)), draws.normal(size=(530, 5))
    np.testing.assert_allclose(products(first, second), first @ second.T)


def test_classes_are_told_apart_one_against_the_others():
    draws = np.random.default_rng(0)
    labels = np.arange(60) % 3
    train = draws.normal(size=(60, 8)).astype(np.float32) * 0.1
    train[np.arange(60), labels] += 1
    found = decision_values(train[:48], labels[:48], train[48:], tuple("abc"), 100.0)
    assert found.dtype == np.float32 and found.shape == (12, 3)
    np.testing.assert_array_equal(found.argmax(axis=1), labels[48:])
    assert ((found > 0).sum(axis=1) == 1).all()


def test_a_class_without_training_videos_is_refused():
    with pytest.raises(UserError, match="none of b"):
        decision_values(
            np.eye(2, dtype=np.float32), np.array([0, 2]), np.eye(2, dtype=np.float32),
            tuple("abc"), 100.0,
        )  # fmt: skip
