"""Fisher vectors of descriptors: PCA, Gaussians, first and second order.

    codebook = fit_codebook(sample, edges, clusters=256, seed=0)
    vector = codebook.encode(descriptors)    # float32 (codebook.width,)

T: Perronnin et al. (2010), as in Wang and Schmid (2013), section 4: each kind of
descriptor is halved by PCA and encoded by 2 K D numbers, whose signed square roots
are brought to length 1; the kinds stand one after another.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.extras import require_sklearn

CHUNK = 4096  # descriptors whose responsibilities are held at once
LEAST_VARIANCE = 1e-6  # of a Gaussian in any direction (C)


@dataclass(frozen=True)
class Gaussians:
    """One kind of descriptor: a rotation, and a mixture behind it.

    Attributes:
        mean: float64 (2 D,), of the descriptors.
        axes: float64 (D, 2 D), the principal ones.
        weights: float64 (K,), of sum 1.
        means: float64 (K, D).
        variances: float64 (K, D).
    """

    mean: np.ndarray
    axes: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    @property
    def width(self) -> int:
        """Numbers of a Fisher vector, 2 K D."""
        return 2 * self.means.size

    def project(self, descriptors: np.ndarray) -> np.ndarray:
        """To the principal axes: float64 (n, D) of (n, 2 D)."""
        return (descriptors - self.mean) @ self.axes.T

    def responsibilities(self, points: np.ndarray) -> np.ndarray:
        """How probably each Gaussian made each point: float64 (n, K), rows sum to 1.

        Args:
            points: float64 (n, D).
        """
        inverse = 1.0 / self.variances
        constant = np.log(self.weights) + 0.5 * (
            np.log(inverse).sum(axis=1) - (self.means**2 * inverse).sum(axis=1)
        )  # (K,)
        found = points @ (self.means * inverse).T - 0.5 * points**2 @ inverse.T
        found += constant
        found -= found.max(axis=1, keepdims=True)
        np.exp(found, out=found)
        return found / found.sum(axis=1, keepdims=True)

    def encode(self, descriptors: np.ndarray) -> np.ndarray:
        """The normalised Fisher vector of a set of descriptors.

        Args:
            descriptors: (n, 2 D).

        Returns:
            float64 (2 K D,) of length 1: the K gradients by the means, then those by
            the standard deviations. Zeros for no descriptors.
        """
        clusters, width = self.means.shape
        zeroth, first = np.zeros((clusters, 1)), np.zeros((clusters, width))
        second = np.zeros((clusters, width))
        for start in range(0, len(descriptors), CHUNK):
            points = self.project(descriptors[start : start + CHUNK].astype(np.float64))
            shares = self.responsibilities(points)
            zeroth += shares.sum(axis=0)[:, None]
            first += shares.T @ points
            second += shares.T @ points**2
        count = max(len(descriptors), 1)
        root = np.sqrt(self.weights)[:, None]
        by_mean = (first - zeroth * self.means) / np.sqrt(self.variances)
        squares = second - 2 * self.means * first + zeroth * self.means**2
        by_deviation = squares / self.variances - zeroth
        vector = np.concatenate(
            [by_mean / root, by_deviation / (np.sqrt(2.0) * root)], axis=None
        )
        powered = np.sign(vector) * np.sqrt(np.abs(vector / count))
        length = np.linalg.norm(powered)
        return powered / length if length > 0 else powered


@dataclass(frozen=True)
class Codebook:
    """Gaussians of every kind of descriptor.

    Attributes:
        kinds: In the order of the columns.
        edges: Where each kind's columns end, but for the last.
    """

    kinds: tuple[Gaussians, ...]
    edges: tuple[int, ...]

    @property
    def width(self) -> int:
        """Numbers of an encoded video."""
        return sum(kind.width for kind in self.kinds)

    def encode(self, descriptors: np.ndarray) -> np.ndarray:
        """Encode a video: float32 (width,) of its descriptors, (n, columns)."""
        parts = np.split(descriptors, self.edges, axis=1)
        pairs = zip(self.kinds, parts, strict=True)
        return np.concatenate([k.encode(part) for k, part in pairs]).astype(np.float32)


def fit_codebook(
    sample: np.ndarray,
    edges: Sequence[int],
    clusters: int,
    seed: int,
    iterations: int = 30,
) -> Codebook:
    """Fit PCA and Gaussians to training descriptors.

    Args:
        sample: (n, columns).
        edges: Where each kind's columns end, but for the last.
        clusters: Gaussians K of each kind.
        seed: Of their start.
        iterations: Of expectation maximisation, at most.

    Raises:
        UserError: scikit-learn is missing, or there are fewer descriptors than
            Gaussians.
    """
    require_sklearn("the hand-crafted features")
    if len(sample) < max(clusters, 2):
        raise UserError(
            f"--clusters must not exceed the training descriptors, {len(sample)}. "
            f"Received: {clusters}; the training videos hold hardly any motion, or "
            "are too short"
        )
    parts = np.split(sample, list(edges), axis=1)
    kinds = tuple(_fit(part, clusters, seed, iterations) for part in parts)
    return Codebook(kinds, tuple(edges))


def _fit(sample: np.ndarray, clusters: int, seed: int, iterations: int) -> Gaussians:
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    half = min(sample.shape[1] // 2, len(sample))
    pca = PCA(half, svd_solver="full" if len(sample) < 1000 else "covariance_eigh")
    pca.fit(sample.astype(np.float64))
    # In float32 the responsibilities of 256,000 descriptors take 262 MB.
    points = pca.transform(sample.astype(np.float64)).astype(np.float32)
    mixture = GaussianMixture(
        clusters, covariance_type="diag", init_params="k-means++",
        max_iter=iterations, reg_covar=LEAST_VARIANCE, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(points)
    weights, means, variances = (
        np.asarray(values, np.float64)
        for values in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    return Gaussians(
        mean=np.asarray(pca.mean_, np.float64),
        axes=np.asarray(pca.components_, np.float64),
        weights=np.maximum(weights / weights.sum(), np.finfo(np.float64).tiny),
        means=means,
        variances=np.maximum(variances, LEAST_VARIANCE),
    )
