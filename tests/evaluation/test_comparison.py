"""Runs side by side, and McNemar's test between them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.made_up_scores import made_up, reordered

from stfn_keras.errors import UserError
from stfn_keras.evaluation import mcnemar
from stfn_keras.evaluation.comparison import as_json, as_markdown, compare
from stfn_keras.evaluation.entries import Entry
from stfn_keras.evaluation.metrics import ranks

ROOT = Path(__file__).parents[2]


def entry(tmp_path, name, *splits):
    paths = []
    for number, scores in enumerate(splits):
        paths.append(tmp_path / f"{name}{number}.npz")
        scores.save(paths[-1])
    return Entry.read(",".join(map(str, paths)))


def right(scores):
    return ranks(scores.label, scores.logits) < 1


def test_the_test_is_on_the_same_videos_in_any_order(tmp_path):
    one, two = made_up(90, seed=1, sure=4), made_up(90, seed=2, sure=1)
    first, second = compare([entry(tmp_path, "a", one),
                             entry(tmp_path, "b", reordered(two))])  # fmt: skip
    better, worse = mcnemar.discordant(right(two), right(one))
    assert first.against_first is None
    assert (second.against_first.better, second.against_first.worse) == (better, worse)
    assert second.against_first.p == mcnemar.exact(better, worse)
    assert first.video_top1 == right(one).mean()
    low, high = first.video_top1_interval
    assert low < first.video_top1 < high


def test_splits_are_averaged_and_their_videos_tested_together(tmp_path):
    ours = [made_up(30, seed=1, sure=4), made_up(60, seed=2, sure=4)]
    theirs = [made_up(30, seed=3), made_up(60, seed=4)]
    first, second = compare(
        [entry(tmp_path, "a", *theirs), entry(tmp_path, "b", *ours)]
    )
    counts = [mcnemar.discordant(right(a), right(b))
              for a, b in zip(ours, theirs, strict=True)]  # fmt: skip
    test = second.against_first
    assert (test.better, test.worse) == tuple(np.sum(counts, axis=0))
    assert (second.splits, second.videos) == (2, 90)
    assert second.video_top1 == pytest.approx(np.mean([right(s).mean() for s in ours]))


def test_many_comparisons_are_corrected(tmp_path):
    entries = [entry(tmp_path, str(s), made_up(90, seed=s, sure=s)) for s in range(4)]
    found = compare(entries)
    tests = [one.against_first for one in found[1:]]
    assert [t.p_holm for t in tests] == mcnemar.holm([t.p for t in tests])
    text = as_markdown(found)
    assert len(text.splitlines()) == 4 + 4
    assert "90 videos in 1 split(s)" in text
    json.dumps(as_json(found))


def test_what_cannot_be_compared_is_refused(tmp_path):
    one = entry(tmp_path, "a", made_up(30))
    with pytest.raises(UserError, match="two or more"):
        compare([one])
    with pytest.raises(UserError, match="expected the same videos"):
        compare([one, entry(tmp_path, "b", made_up(31))])


def test_the_command(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        made_up(seed=seed).save(tmp_path / f"{name}.npz")
    command = [sys.executable, "-m", "stfn_keras.evaluation.compare",
               str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--json"]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["compared"]
    assert first["against_first"] is None
    assert 0 < second["against_first"]["p"] <= 1
