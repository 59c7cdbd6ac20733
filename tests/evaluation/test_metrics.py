"""Accuracies against counts by hand."""

import numpy as np
import pytest

from stfn_keras.evaluation import metrics
from stfn_keras.evaluation.scores import Scores, softmax


@pytest.fixture
def scores() -> Scores:
    logits = np.array(
        [[3, 1, 0], [0, 2, 1], [1, 2, 0], [0, 5, 1], [2, 1, 3]], np.float32
    )
    return Scores(
        video_id=np.array(list("abcde")),
        label=np.array([0, 0, 1, 1, 1]),
        logits=logits,
        classes=np.array(["x", "y", "z"]),
        streams={"rgb_logits": logits[:, ::-1]},
    )


def test_summary(scores):
    found = metrics.summary(scores)
    assert found["videos"] == 5
    assert found["video_top1"] == pytest.approx(3 / 5)
    assert found["mean_class_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["video_top5"] == 1.0
    assert found["rgb_video_top1"] == pytest.approx(2 / 5)


def test_confusion_and_per_class(scores):
    counts = metrics.confusion(scores.label, scores.logits)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 0]]
    table = metrics.per_class(scores)
    assert table["videos"].tolist() == [2, 3, 0]
    assert table["precision"][1] == pytest.approx(2 / 3)
    assert np.isnan(table["recall"][2])


def test_top5_of_six_classes():
    logits = np.array([[5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]], np.float32)
    found = Scores(np.array(["a", "b"]), np.array([5, 4]), logits,
                   np.array(list("abcdef")), {})  # fmt: skip
    assert metrics.summary(found)["video_top5"] == 0.5


def test_equal_logits_are_not_all_right():
    label, logits = np.array([0, 1, 2]), np.zeros((3, 3))
    assert (metrics.ranks(label, logits) < 1).mean() == pytest.approx(1 / 3)


def test_predictions_name_the_wrong_videos(scores):
    table = metrics.predictions(scores)
    assert table[~table["right"]]["video_id"].tolist() == ["b", "e"]
    np.testing.assert_allclose(
        table["score"], softmax(scores.logits).max(axis=1), rtol=1e-6
    )


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([1e4, 1e4])), [0.5, 0.5])


def test_f1_is_the_harmonic_mean_of_recall_and_precision(scores):
    table = metrics.per_class(scores)[:2]
    expected = 2 / (1 / table["recall"] + 1 / table["precision"])
    np.testing.assert_allclose(table["f1"], expected)
    assert metrics.per_class(scores)["f1"][2] == 0  # predicted, and never right
    assert metrics.summary(scores)["macro_f1"] == pytest.approx(expected.mean())


def test_confused_pairs_by_hand(scores):
    found = metrics.confused_pairs(scores).to_dict("records")
    assert found == [
        {"label": "x", "predicted": "y", "videos": 1, "share": 1 / 2},
        {"label": "y", "predicted": "z", "videos": 1, "share": 1 / 3},
    ]
