"""Mean class accuracy against a count by hand."""

import numpy as np

from stfn_keras.training.metrics import MeanClassAccuracy


def test_mean_over_classes_not_videos():
    metric = MeanClassAccuracy(3)
    truth = np.eye(3)[[0, 0, 0, 1]]
    said = np.eye(3)[[0, 0, 1, 1]]
    metric.update_state(truth[:2], said[:2])
    metric.update_state(truth[2:], said[2:])
    # 2 of 3 of class 0, 1 of 1 of class 1, class 2 never seen.
    np.testing.assert_allclose(float(metric.result()), (2 / 3 + 1) / 2, rtol=1e-6)


def test_smoothed_labels_count_as_their_largest():
    metric = MeanClassAccuracy(2)
    metric.update_state(np.array([[0.9, 0.1]]), np.array([[1.0, 2.0]]))
    assert float(metric.result()) == 0.0
