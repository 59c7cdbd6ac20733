"""Holding out training groups: whole groups, every class, the same everywhere."""

import dataclasses

import numpy as np
import pytest

from stfn_keras.data.holdout import balanced_weights, split_training, training_videos
from stfn_keras.data.index import Indexed, write_index
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError


def write(folder, groups=10, classes=3):
    """An index of `classes` x `groups` groups of two videos; half of split 2 tests."""
    rows = [
        Indexed(f"{c}/g{g}_{v}.avi", str(c), f"{c}/g{g}", "re" if g % 2 else "rr",
                "x-rr.tfrecord", 0, 9, 25.0, 8, 8)
        for c in range(classes) for g in range(groups) for v in range(2)
    ]  # fmt: skip
    write_index(folder, rows)
    return rows


def test_every_training_group_validates_once(tmp_path):
    rows = write(tmp_path)
    parts = [split_training(tmp_path, 1, 5, fold) for fold in range(1, 6)]
    everything = {row.path for row in rows}
    assert frozenset().union(*(p.validation for p in parts)) == everything
    assert sum(len(p.validation) for p in parts) == len(everything)
    for part in parts:
        assert part.train | part.validation == everything
        groups = [{row.group for row in rows if row.path in ids}
                  for ids in (part.train, part.validation)]  # fmt: skip
        assert not groups[0] & groups[1]
        labels = [row.label for row in rows if row.path in part.validation]
        assert {label: labels.count(label) for label in "012"} == dict.fromkeys(
            "012", 4
        )


def test_test_videos_are_in_no_part(tmp_path):
    rows = write(tmp_path)
    tested = {row.path for row in rows if row.roles[1] == "e"}
    part = split_training(tmp_path, 2, 5, 1)
    assert tested and not tested & (part.train | part.validation)


def test_too_few_groups_are_refused(tmp_path):
    write(tmp_path, groups=1)
    with pytest.raises(UserError, match="--folds=5 .*3 groups"):
        split_training(tmp_path, 1, 5, 1)


def test_a_class_is_never_held_out_whole(tmp_path):
    rows = [
        Indexed(f"{label}/{g}.avi", label, f"{label}/{g}", "r", "x-r.tfrecord", 0, 9,
                25.0, 8, 8)
        for label, groups in (("many", 6), ("one", 1)) for g in range(groups)
    ]  # fmt: skip
    write_index(tmp_path, rows)
    with pytest.raises(UserError, match="--fold=1 holds out every group of 'one'"):
        split_training(tmp_path, 1, 2, 1)
    assert split_training(tmp_path, 1, 2, 2).validation


def test_balanced_weights_give_each_class_the_same_share(tmp_path):
    rows = write(tmp_path)
    rows = [row for row in rows if row.label != "1"] + rows[:6]
    weights = balanced_weights(rows, ("0", "1", "2", "never"))
    counts = [sum(row.label == label for row in rows) for label in ("0", "1", "2")]
    shares = [w * n for w, n in zip(weights, counts, strict=False) if n]
    np.testing.assert_allclose(shares, len(rows) / len(shares))
    assert weights[3] == 0.0


def test_only_the_chosen_videos_are_read(dataset):
    manifest = Manifest.load(dataset)
    part = split_training(dataset, 1, 3, 2)
    assert len(training_videos(dataset, 1)) == 12
    source = open_source(dataset, manifest, 1, "r", "dis", {"flow": 16})
    for ids in (part.train, part.validation):
        chosen = dataclasses.replace(source, only=ids)
        read = []
        for _, about in view_batches(chosen, segments=1, samplings=1, crops=1, batch=2):
            read += [video.decode() for video in about["id"].numpy()]
        assert sorted(read) == sorted(ids)
