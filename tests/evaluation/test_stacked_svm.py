"""Fusion by an SVM: it learns what a mean cannot, from held-out videos alone."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation.made_up_scores import made_up

from stfn_keras.errors import UserError
from stfn_keras.evaluation.entries import Entry
from stfn_keras.evaluation.fused import fuse_splits
from stfn_keras.evaluation.metrics import accuracies
from stfn_keras.evaluation.stacked_svm import svm_fused

pytest.importorskip("sklearn")


def shifted(scores):
    """A network that names the class after the right one."""
    return replace(scores, logits=np.roll(scores.logits, 1, axis=1))


def both(videos, seed, classes=6):
    """A network that shifts its classes, and noise."""
    good = made_up(videos, classes, seed, sure=12)
    return [shifted(good), made_up(videos, classes, seed + 50, sure=0)]


def top1(scores):
    return accuracies(scores.label, scores.logits)["video_top1"]


@pytest.mark.parametrize("classes", [2, 6])
def test_it_learns_what_no_weights_give(classes):
    held, tested = both(90, 1, classes), both(60, 2, classes)
    found = svm_fused(held, tested)
    assert top1(tested[0]) < 0.3
    assert top1(found) > 0.9
    assert found.logits.shape == (60, classes)
    np.testing.assert_array_equal(found.video_id, tested[0].video_id)
    again = svm_fused(held, tested)
    np.testing.assert_array_equal(found.logits, again.logits)


def test_the_command_takes_it_by_split(tmp_path):
    def entry(name, scores, prefix):
        ids = np.char.add(prefix, scores.video_id)
        replace(scores, video_id=ids).save(tmp_path / f"{name}.npz")
        return Entry.read(str(tmp_path / f"{name}.npz"))

    held = [entry(f"h{i}", s, "held ") for i, s in enumerate(both(90, 1))]
    tested = [entry(f"t{i}", s, "") for i, s in enumerate(both(60, 2))]
    found = fuse_splits(tested, "logits", (), held, svm=True)
    assert found.flat()["video_top1"] > 0.9
    assert not [name for name in found.flat() if "weight" in name]
    assert "fused by an SVM" in found.text()
    with pytest.raises(UserError, match="a test video"):
        fuse_splits(tested, "logits", (), tested, svm=True)


def test_a_class_without_a_video_is_named():
    held = made_up(videos=5)  # of six classes
    with pytest.raises(UserError, match="none of 'class 5'.*--folds"):
        svm_fused([held], [made_up()])
