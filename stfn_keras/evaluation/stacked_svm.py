"""Late fusion by a linear SVM on stacked scores (T: Simonyan and Zisserman, 2014).

    fused = svm_fused([rgb_held, flow_held], [rgb, flow])

The SVM sees what the networks gave for videos that neither of them trained on, which
are not those that are reported: held-out training groups.
"""

from collections.abc import Sequence

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.evaluation.scores import Scores, softmax
from stfn_keras.extras import require_sklearn

COST = 1.0  # C of the SVM (C)


def svm_fused(held: Sequence[Scores], tested: Sequence[Scores]) -> Scores:
    """Fit an SVM on some videos' scores and give its decisions for others.

    Args:
        held: By `entries.align`: scores of the videos that it is fitted on.
        tested: Likewise, of the same networks: the videos that it decides on.

    Returns:
        Scores of the latter, whose `logits` are the decision values, one class against
        the rest.

    Raises:
        UserError: scikit-learn is not installed; a class has no video among the former.
    """
    require_sklearn("fusion by an SVM")
    from sklearn.svm import LinearSVC

    first, label = tested[0], held[0].label
    if held[0].classes.tolist() != first.classes.tolist():
        raise UserError(
            "expected the same classes in the same order in validation and test "
            f"scores. Received: {', '.join(map(str, held[0].classes[:3]))} ... and "
            f"{', '.join(map(str, first.classes[:3]))} ..."
        )
    classes = len(first.classes)
    if missing := sorted(set(range(classes)) - set(label.tolist())):
        raise UserError(
            "expected validation videos of every class, to fit an SVM on. Received: "
            f"none of {str(first.classes[missing[0]])!r}: hold out more videos, with "
            "fewer --folds"
        )
    fitted = LinearSVC(C=COST, random_state=0).fit(_stacked(held), label)
    decisions = fitted.decision_function(_stacked(tested))
    if decisions.ndim == 1:  # of two classes it gives the second's alone
        decisions = np.stack([-decisions, decisions], axis=1)
    logits = decisions.astype(np.float32)
    return Scores(first.video_id, first.label, logits, first.classes)


def _stacked(aligned: Sequence[Scores]) -> np.ndarray:
    """The networks' softmax scores, each brought to length 1, side by side."""
    probabilities = [softmax(scores.logits.astype(np.float64)) for scores in aligned]
    lengths = [np.linalg.norm(p, axis=1, keepdims=True) for p in probabilities]
    return np.hstack([p / n for p, n in zip(probabilities, lengths, strict=True)])
