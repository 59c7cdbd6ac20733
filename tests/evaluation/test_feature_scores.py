"""Scores from cached features are those from pixels."""

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.evaluation import feature_scores
from stfn_keras.evaluation.evaluate import score_run
from stfn_keras.evaluation.feature_scores import (
    ViewFeatures,
    cached_view_features,
    score_features,
)
from stfn_keras.training import stages


def head_of(run):
    folder, manifest = run.manifest()
    head = stages.fusion_network(run)
    stages.load_result(stages.Work(run, folder, manifest, run), "fusion", head)
    return head


@pytest.mark.parametrize(("samplings", "crops"), [(1, 1), (2, 5)])
def test_features_score_as_pixels_do(trained, samplings, crops):
    features = cached_view_features(trained, *trained.manifest(), crops=crops)
    found = score_features(head_of(trained), features, samplings=samplings)
    pixels = score_run(trained, f"{samplings}x{crops}", batch=8)
    assert found.video_id.tolist() == pixels.video_id.tolist()
    assert found.label.tolist() == pixels.label.tolist()
    assert found.classes.tolist() == pixels.classes.tolist()
    np.testing.assert_allclose(found.logits, pixels.logits, atol=1e-5)
    for name, logits in pixels.streams.items():
        np.testing.assert_allclose(found.streams[name], logits, atol=1e-5)


def test_features_are_computed_once_unless_damaged(trained, monkeypatch):
    first = cached_view_features(trained, *trained.manifest())
    expected = np.array(first.streams["flow"])
    assert first.streams["flow"].shape[:3] == (5, 7, 1)
    assert first.streams["flow"].dtype == np.float32
    with monkeypatch.context() as patch:
        patch.setattr(feature_scores, "_compute", None)
        cached_view_features(trained, *trained.manifest())
    for path in trained.folder.glob("features/*/flow.npy"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    again = cached_view_features(trained, *trained.manifest())
    np.testing.assert_array_equal(again.streams["flow"], expected)


class _Order:
    """A head whose logits are the first segment's features: it sees the order."""

    def __init__(self, segments, size):
        import keras

        inputs = {"rgb_features": keras.Input((segments, size), name="rgb_features")}
        first = keras.layers.Lambda(lambda x: x[:, 0])(inputs["rgb_features"])
        self.model = keras.Model(inputs, {"logits": first})


def features_of(values):
    """One feature vector (its snippet's number, 0) for each of K snippets."""
    grid = np.zeros((len(values), len(values[0]), 1, 2), np.float32)
    grid[..., 0, 0] = values
    return ViewFeatures(np.array([f"v{i}" for i in range(len(values))]),
                        np.zeros(len(values), np.int64), ("a", "b"),
                        {"rgb": grid})  # fmt: skip


def test_shuffling_gives_each_video_its_own_fixed_order(monkeypatch):
    monkeypatch.setattr(feature_scores, "VIDEOS_PER_BATCH", 7)
    features = features_of([list(range(4))] * 40)
    head = _Order(4, 2).model

    def firsts(shuffle):
        scores = score_features(head, features, samplings=1, shuffle=shuffle)
        return scores.logits[:, 0].tolist()

    assert firsts(None) == [0] * 40
    assert set(firsts(0)) == {0, 1, 2, 3}
    assert firsts(0) == firsts(0) != firsts(1)


def test_what_diverged_has_no_score():
    features = features_of([[np.nan] * 4])
    with pytest.raises(UserError, match="diverged"):
        score_features(_Order(4, 2).model, features, samplings=1)
