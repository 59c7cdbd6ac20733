"""Fusion of scores: by id, by hand, and with weights of validation videos alone."""

import itertools

import numpy as np
import pytest
from evaluation.made_up_scores import made_up, reordered

from stfn_keras.errors import UserError
from stfn_keras.evaluation.entries import Entry, align
from stfn_keras.evaluation.fused import fuse_splits
from stfn_keras.evaluation.fusion import fuse, mixtures, search
from stfn_keras.evaluation.metrics import accuracies
from stfn_keras.evaluation.scores import Scores, softmax


def of(logits, ids="ab", labels=(0, 1), classes=("x", "y")):
    return Scores(np.array(list(ids)), np.array(labels),
                  np.array(logits, np.float32), np.array(classes))  # fmt: skip


def test_fusion_by_hand():
    one, two = of([[3, 4], [0, 0]]), of([[1, 0], [0, 2]])
    np.testing.assert_allclose(fuse([one, two], (1, 3), "logits").logits,
                               [[1.5, 1], [0, 1.5]])  # fmt: skip
    np.testing.assert_allclose(fuse([one, two], (1, 1), "l2").logits,
                               [[0.8, 0.4], [0, 0.5]])  # fmt: skip
    found = fuse([one, two], (1, 3), "softmax")
    expected = 0.25 * softmax(one.logits) + 0.75 * softmax(two.logits)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-6)


def test_a_sure_softmax_stays_finite():
    found = fuse([of([[500, 0], [0, 500]])] * 2, (1, 1), "softmax")
    assert np.isfinite(found.logits).all()


@pytest.mark.parametrize("on", ["logits", "softmax", "l2"])
def test_scores_are_matched_by_id_and_class_name(on):
    """A fusion by order gives the accuracy of chance here, and no error."""
    one, two = made_up(seed=1), made_up(seed=2)
    expected = fuse([one, two], (1, 2), on)
    moved = align({"one": one, "two": reordered(two)})
    found = fuse(moved, (1, 2), on)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=1e-6)
    turned = fuse(align({"two": reordered(two), "one": one}), (2, 1), on)
    assert accuracies(turned.label, turned.logits) == pytest.approx(
        accuracies(expected.label, expected.logits)
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (of([[1, 2]], "a", [0]), "the same videos: A has 'b'. .* none of it in B"),
        (of([[1, 2]] * 3, "abc", [0, 1, 1]), "the same videos: B has 'c'"),
        (of([[1, 2]] * 2, "cd"), "A has 'a' and 1 more"),
        (of([[1, 2]] * 2, labels=(0, 0)), "A says 'y' of 'b'. Received: 'x' in B"),
        (of([[1, 2]] * 2, classes=("x", "z")), "the same classes: A has 'y'"),
        (of([[1, 2, 3]] * 2, classes=("x", "y", "z")), "classes: B has 'z'"),
        (of([[1, 2]] * 2, classes=("y", "x")), "A says 'x' of 'a'. Received: 'y'"),
    ],
)
def test_what_does_not_fit_is_named(other, message):
    with pytest.raises(UserError, match=message):
        align({"A": of([[1, 2]] * 2), "B": other})


@pytest.mark.parametrize("weights", [(1,), (1, -1), (0, 0), (1, np.nan), (1, np.inf)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UserError, match="--weights must be 2 numbers"):
        fuse([made_up()] * 2, weights, "logits")


def test_mixtures_are_all_there_are():
    assert list(mixtures(1)) == [(1.0,)]
    assert len(list(mixtures(2))) == 21
    every = [w for w in itertools.product(range(21), repeat=3) if sum(w) == 20]
    found = sorted(tuple(round(20 * w) for w in mix) for mix in mixtures(3))
    assert found == sorted(every)
    assert len(list(mixtures(6))) <= 2000


def test_the_search_finds_the_useful_scores():
    good, noise = made_up(seed=1, sure=6), made_up(seed=2, sure=0)
    weights = search([noise, good], "logits")
    found = fuse([noise, good], weights, "logits")
    alone = accuracies(good.label, good.logits)["video_top1"]
    assert accuracies(found.label, found.logits)["video_top1"] >= alone
    assert weights[1] > 0.5
    assert search([good, good], "logits") == (0.5, 0.5)


def renamed(scores, prefix):
    ids = np.char.add(prefix, scores.video_id)
    return Scores(ids, scores.label, scores.logits, scores.classes)


def entry(tmp_path, name, *splits):
    paths = []
    for number, scores in enumerate(splits):
        paths.append(tmp_path / f"{name}{number}.npz")
        scores.save(paths[-1])
    return Entry.read(",".join(map(str, paths)))


def test_splits_are_fused_apart_and_averaged(tmp_path):
    seeds = [(1, 2), (3, 4)]
    one = entry(tmp_path, "a", *(made_up(seed=a) for a, _ in seeds))
    two = entry(tmp_path, "b", *(reordered(made_up(seed=b)) for _, b in seeds))
    found = fuse_splits([one, two], "logits", (1, 1.5))
    flat = found.flat()
    each = [fuse([made_up(seed=a), made_up(seed=b)], (1, 1.5), "logits")
            for a, b in seeds]  # fmt: skip
    tops = [accuracies(s.label, s.logits)["video_top1"] for s in each]
    assert [flat["split1_video_top1"], flat["split2_video_top1"]] == tops
    assert flat["video_top1"] == pytest.approx(np.mean(tops))
    assert "mean over 2 splits" in found.text()
    with pytest.raises(UserError, match="as many splits of each"):
        fuse_splits([one, entry(tmp_path, "c", made_up())], "logits", (1, 1))


def test_each_split_has_the_weights_of_its_own_validation_videos(tmp_path):
    """The split's good scores change places; so do the weights."""
    good, noise = made_up(seed=1, sure=6), made_up(seed=2, sure=0)
    held = [renamed(scores, "held ") for scores in (good, noise)]
    tested = [entry(tmp_path, "a", good, noise), entry(tmp_path, "b", noise, good)]
    validation = [entry(tmp_path, "va", *held), entry(tmp_path, "vb", *held[::-1])]
    found = fuse_splits(tested, "logits", (), validation)
    flat = found.flat()
    assert flat["split1_weight1"] > 0.5 > flat["split1_weight2"]
    assert flat["split2_weight1"] < 0.5 < flat["split2_weight2"]
    assert all(0 <= value <= 1 for value in flat.values())


def test_weights_are_never_searched_on_test_videos(tmp_path):
    one, two = (entry(tmp_path, n, made_up(seed=s)) for s, n in enumerate("ab"))
    with pytest.raises(UserError, match=r"'v000.avi', a test video"):
        fuse_splits([one, two], "logits", (), [one, two])


def test_a_folder_of_splits_is_read_by_split(tmp_path):
    for split, seed in [(10, 0), (2, 0), (1, 0), (1, 1), (2, 1), (10, 1)]:
        report = tmp_path / f"split{split}-seed{seed}" / "report"
        report.mkdir(parents=True)
        (report.parent / "config.json").write_text("{}")
        made_up(videos=6 + split, seed=seed).save(report / "scores.npz")
    found = Entry.read(str(tmp_path))
    assert [len(scores.label) for scores in found.splits] == [7, 8, 16]
    expected = made_up(videos=7, seed=1).logits
    other = Entry.read(str(tmp_path), seed=1).splits[0]
    np.testing.assert_array_equal(other.logits, expected)
    with pytest.raises(UserError, match="with --seed 0 or 1. Received: --seed=2"):
        Entry.read(str(tmp_path), seed=2)
    (tmp_path / "split2-seed0" / "report" / "scores.npz").unlink()
    with pytest.raises(UserError, match="evaluate.py --run .*split2-seed0`"):
        Entry.read(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither"):
        Entry.read(str(tmp_path / "empty"))
