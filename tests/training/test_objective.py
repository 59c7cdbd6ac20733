"""Losses and sums of batches against NumPy."""

import keras
import numpy as np
import pytest

from stfn_keras.training.objective import Objective, Sums

DRAWS = np.random.default_rng(0)
LOGITS = DRAWS.normal(size=(6, 3)).astype("float32")
LABEL = np.array([0, 1, 2, 2, 1, 0])
ONE_HOT = np.eye(3, dtype="float32")[LABEL]


def cross_entropy(logits, labels, smoothing=0.0):
    labels = labels * (1 - smoothing) + smoothing / labels.shape[-1]
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return -(labels * np.log(exponents / exponents.sum(-1, keepdims=True))).sum(-1)


def test_it_is_the_cross_entropy_with_smoothing_and_weights():
    weights = np.arange(6, dtype="float32")
    objective = Objective({"logits": 1.0}, 3, label_smoothing=0.1)
    loss, sums = objective({"logits": LOGITS}, {"logits": ONE_HOT}, {"logits": weights})
    truth = (cross_entropy(LOGITS, ONE_HOT, 0.1) * weights).sum()
    assert float(loss) == pytest.approx(truth, rel=1e-5)
    assert float(sums["loss"]) == pytest.approx(truth, rel=1e-5)
    assert set(sums) == {"videos", "loss", "confusion"}


def test_heads_add_up_by_their_weights():
    labels = {"logits": ONE_HOT, "rgb_logits": ONE_HOT}
    outputs = {"logits": LOGITS, "rgb_logits": 2 * LOGITS}
    loss, found = Objective({"logits": 1.0, "rgb_logits": 0.5}, 3)(outputs, labels)
    sums = Sums()
    sums.add(found)
    row = sums.row()
    assert list(row) == [
        "loss", "logits_loss", "rgb_logits_loss", "top1", "mean_class",
    ]  # fmt: skip
    assert row["loss"] == pytest.approx(
        row["logits_loss"] + 0.5 * row["rgb_logits_loss"], rel=1e-6
    )
    assert float(loss) == pytest.approx(6 * row["loss"], rel=1e-6)


def test_sums_of_parts_are_those_of_the_whole_and_accuracies_as_counted():
    objective = Objective({"logits": 1.0}, 3)
    whole, parts = Sums(), Sums()
    whole.add(objective({"logits": LOGITS}, {"logits": ONE_HOT})[1])
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        found = objective({"logits": LOGITS[rows]}, {"logits": ONE_HOT[rows]})[1]
        parts.add({k: keras.ops.convert_to_tensor(v) for k, v in found.items()})
    assert parts.row() == pytest.approx(whole.row(), rel=1e-6)
    said = LOGITS.argmax(-1)
    row = whole.row()
    assert row["top1"] == pytest.approx((said == LABEL).mean())
    per_class = [(said[LABEL == c] == c).mean() for c in range(3)]
    assert row["mean_class"] == pytest.approx(np.mean(per_class))
    assert whole.confusion.sum() == 6
    assert (
        whole.confusion[2].tolist()
        == np.bincount(said[LABEL == 2], minlength=3).tolist()
    )


def test_videos_that_only_fill_a_batch_do_not_count():
    shown = np.array([1, 1, 1, 1, 0, 0], "float32")
    objective = Objective({"logits": 1.0}, 3)
    filled, short = Sums(), Sums()
    filled.add(objective({"logits": LOGITS}, {"logits": ONE_HOT}, None, shown)[1])
    short.add(objective({"logits": LOGITS[:4]}, {"logits": ONE_HOT[:4]})[1])
    assert filled.row() == pytest.approx(short.row(), rel=1e-6)
    assert filled.confusion.tolist() == short.confusion.tolist()


def test_classes_that_do_not_occur_are_no_part_of_the_mean():
    rows = LABEL != 1
    sums = Sums()
    found = Objective({"logits": 1.0}, 3)(
        {"logits": LOGITS[rows]}, {"logits": ONE_HOT[rows]}
    )
    sums.add(found[1])
    said = LOGITS[rows].argmax(-1)
    per_class = [(said[LABEL[rows] == c] == c).mean() for c in (0, 2)]
    assert sums.row()["mean_class"] == pytest.approx(np.mean(per_class))
