"""Linear support vector machines, one for each class against the others.

    scores = decision_values(train, labels, others, classes=101, cost=100.0)

There are far fewer videos than numbers in a Fisher vector, so that only the videos'
inner products are handed to the solver (T: LIBSVM's, hinge loss).
"""

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.extras import require_sklearn

BLOCK = 512  # videos whose vectors are read at once


def decision_values(
    train: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    classes: tuple[str, ...],
    cost: float,
) -> np.ndarray:
    """Train on some videos and score others.

    Args:
        train: float32 (n, width), one vector for each training video.
        labels: int (n,), places in `classes`.
        others: float32 (m, width).
        classes: Names.
        cost: C of each machine.

    Returns:
        float32 (m, C), the decision values; above 0 for a class that a machine takes
        the video for.

    Raises:
        UserError: A class has no training video, or there is only one class.
    """
    require_sklearn("the hand-crafted features")
    from sklearn.svm import SVC

    if len(classes) < 2:
        raise UserError(f"expected two classes or more. Received: {classes[0]}")
    for number, name in enumerate(classes):
        if not (labels == number).any():
            raise UserError(
                f"every class needs a training video that can be used. Received: none "
                f"of {name}"
            )
    known, asked = products(train, train), products(others, train)
    found = np.zeros((len(others), len(classes)), np.float32)
    for number in range(len(classes)):
        machine = SVC(C=cost, kernel="precomputed")
        machine.fit(known, labels == number)
        found[:, number] = machine.decision_function(asked)
    return found


def products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of all pairs: float64 (n, m) of float32 (n, w) and (m, w).

    Vectors may be mapped from the disk; only `BLOCK` of each are in memory at once.
    """
    found = np.zeros((len(first), len(second)))
    for row in range(0, len(first), BLOCK):
        block = np.asarray(first[row : row + BLOCK])
        for column in range(0, len(second), BLOCK):
            there = np.asarray(second[column : column + BLOCK])
            found[row : row + BLOCK, column : column + BLOCK] = block @ there.T
    return found
