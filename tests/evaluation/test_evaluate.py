"""Evaluation of a trained run: counts, batches, views, the report."""

import dataclasses
import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from stfn_keras.commands.evaluate import named_runs
from stfn_keras.data.holdout import split_training
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation import evaluate as evaluation
from stfn_keras.evaluation.evaluate import (
    check_splits_differ,
    evaluate,
    over_splits,
    parse_views,
    score_run,
)
from stfn_keras.evaluation.metrics import summary
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.evaluation.strips import film_strips
from stfn_keras.training.run import Run
from stfn_keras.video.image import decode_rgb


def test_scores_do_not_depend_on_the_batch(trained):
    once = score_run(trained, "2x5", batch=3)
    again = score_run(trained, "2x5", batch=64)
    assert once.video_id.tolist() == again.video_id.tolist()
    assert len(set(once.video_id)) == 5
    np.testing.assert_allclose(once.logits, again.logits, atol=1e-5)


def test_the_report_holds_what_the_design_names(trained, tmp_path):
    found = evaluate(trained, report=tmp_path / "report")
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == {
        "metrics.json", "scores.npz", "predictions.csv", "per_class.csv",
        "confusion_matrix.csv", "confusion_matrix.png", "per_class.png", "index.html",
        "reliability.csv", "reliability.png",
    }  # fmt: skip
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == found
    rows = pd.read_csv(tmp_path / "report" / "predictions.csv")
    assert len(rows) == found["videos"] == 5
    assert rows["right"].mean() == pytest.approx(found["video_top1"])
    with np.load(tmp_path / "report" / "scores.npz", allow_pickle=False) as scores:
        assert scores["logits"].dtype == np.float32
        assert scores["logits"].shape == (5, 2)
        assert scores["classes"].tolist() == ["left", "right"]
        best = scores["logits"].argmax(axis=1)
        assert (best == scores["label"]).mean() == pytest.approx(found["video_top1"])
    assert found["video_top1_low"] <= found["video_top1"] <= found["video_top1_high"]
    page = (tmp_path / "report" / "index.html").read_text()
    assert "http" not in page
    wrong = int((~rows["right"]).sum())
    assert page.count("data:image/jpeg;base64,") == min(wrong, 8)  # 2 pairs of 4


@pytest.mark.parametrize("batch", [1, 7])
def test_no_batch_is_larger_than_asked(trained, monkeypatch, batch):
    """Whatever SxC: memory is bounded by --max_views_per_batch."""
    network, sizes = trained_network(trained), []
    predict = network.predict_on_batch

    def counted(inputs):
        sizes.extend(len(array) for array in inputs.values())
        return predict(inputs)

    monkeypatch.setattr(network, "predict_on_batch", counted)
    monkeypatch.setattr(evaluation, "trained_network", lambda *_: network)
    scores = score_run(trained, "2x10", batch=batch)
    assert max(sizes) == batch
    assert sum(sizes) == 5 * 2 * 10 * 2  # videos, S, C, streams
    assert sorted(scores.video_id) == [f"clip {i}.avi" for i in range(12, 17)]


def test_single_views_are_counted_apart(trained):
    """By hand: each view a video of its own."""
    both = score_run(trained, "1x2", batch=8)
    folder, manifest = trained.manifest()
    source = open_source(folder, manifest, 1, "e", "dis", {"rgb": 16, "flow": 16})
    network, right = trained_network(trained), []
    for inputs, about in view_batches(
        source, segments=3, samplings=1, crops=2, batch=2
    ):
        best = np.argmax(network(inputs)["logits"], axis=1)
        right.append((best == about["label"].numpy()).mean())
    np.testing.assert_allclose(both.view_right, right)
    assert summary(both)["view_top1"] == pytest.approx(np.mean(right))


def test_validation_videos_are_those_held_out(trained, dataset, tmp_path):
    folds = dataclasses.replace(trained.training, folds=2, fold=1)
    held = dataclasses.replace(trained, training=folds)
    found = score_run(held, "1x1", batch=8, role="v")
    parts = split_training(dataset, 1, 2, 1)
    assert set(found.video_id) == parts.validation
    assert not set(found.video_id) & set(score_run(trained, "1x1", 8).video_id)
    plain = score_run(trained, "1x1", batch=8, role="v")  # the data's own
    assert sorted(plain.video_id) == [f"clip {i}.avi" for i in range(17, 21)]
    evaluate(held, report=tmp_path / "report", role="v")
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["scored"] == "validation videos"
    fused = dataclasses.replace(folds, fusion_videos="held_out")
    with pytest.raises(UserError, match="would be too good"):
        score_run(dataclasses.replace(trained, training=fused), "1x1", 8, role="v")


def test_without_validation_videos_it_says_what_to_do(trained, monkeypatch):
    monkeypatch.setattr(Manifest, "count", lambda *_: 0)
    with pytest.raises(UserError, match="nor was it trained with --folds"):
        score_run(trained, "1x1", 8, role="v")


def test_means_over_splits_are_flat():
    found = over_splits({
        1: {"videos": 4, "video_top1": 0.5, "video_top1_low": 0.2, "views": "1x1"},
        3: {"videos": 5, "video_top1": 1.0, "video_top1_low": 0.9, "ece": 0.1},
    })  # fmt: skip
    assert found == {
        "splits": 2, "video_top1": 0.75, "split1_videos": 4, "split1_video_top1": 0.5,
        "split1_video_top1_low": 0.2, "split3_videos": 5, "split3_video_top1": 1.0,
        "split3_video_top1_low": 0.9,
    }  # fmt: skip


def test_one_split_is_not_reported_as_several(trained):
    other = dataclasses.replace(
        trained, training=dataclasses.replace(trained.training, split=2)
    )
    check_splits_differ({"a": trained, "b": other})
    with pytest.raises(UserError, match="a and b, both of split 1"):
        check_splits_differ({"a": trained, "b": trained})
    with pytest.raises(UserError, match="which have others"):
        check_splits_differ({"a": trained, "b": dataclasses.replace(other, labels=())})


def test_frames_that_cannot_be_had_do_not_cost_the_scores(
    trained, tmp_path, monkeypatch
):
    def none(*_):
        raise UserError("no index")

    monkeypatch.setattr(evaluation, "film_strips", none)
    with mock.patch.object(evaluation.logging, "warning") as warned:
        evaluate(trained, report=tmp_path / "report")
    assert (tmp_path / "report" / "scores.npz").exists()
    assert "data:image" not in (tmp_path / "report" / "index.html").read_text()
    assert warned.called


def test_strips_are_of_the_videos_asked_for(dataset):
    manifest = Manifest.load(dataset)
    source = open_source(dataset, manifest, 1, "e", "dis", {"rgb": 16})
    found = film_strips(source, dataset, ["clip 13.avi", "clip 16.avi", "unknown"])
    assert set(found) == {"clip 13.avi", "clip 16.avi"}
    red, blue = (decode_rgb(found[f"clip {n}.avi"]) for n in (13, 16))
    assert red.shape[0] == 96
    assert red[..., 0].mean() > red[..., 2].mean() + 50
    assert blue[..., 2].mean() > blue[..., 0].mean() + 50
    assert film_strips(source, dataset, ["clip 0.avi"]) == {}  # trains


def test_logits_are_the_mean_over_views(trained):
    """The crops scored apart, by hand, have the mean that evaluation reports."""
    both = score_run(trained, "1x2", batch=8)
    folder, manifest = trained.manifest()
    network = trained_network(trained)
    source = open_source(folder, manifest, 1, "e", "dis", {"rgb": 16, "flow": 16})
    views = view_batches(source, segments=3, samplings=1, crops=2, batch=2)
    means = [np.mean(network(inputs)["logits"], axis=0) for inputs, _ in views]
    np.testing.assert_allclose(both.logits, means, atol=1e-5)
    assert not np.allclose(both.logits, score_run(trained, "1x1", batch=8).logits)


def test_a_network_that_diverged_has_no_score(trained, monkeypatch):
    """NaN compares false with everything, so every rank would be the first."""
    network = trained_network(trained)
    network.set_weights([np.full_like(w, np.nan) for w in network.get_weights()])
    monkeypatch.setattr(evaluation, "trained_network", lambda *_: network)
    with pytest.raises(UserError, match="diverged"):
        score_run(trained, "1x1", batch=4)


def test_a_folder_of_something_else_is_not_overwritten(trained, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UserError, match="nothing was changed"):
        evaluate(trained, report=tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize("views", ["25", "0x1", "1x", "axb", "1x1x1"])
def test_malformed_views_are_refused(views):
    with pytest.raises(UserError, match="--views must be SxC"):
        parse_views(views)


def test_a_run_that_is_not_finished_says_so(trained, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy)
    (copy / "checkpoints" / "model.json").unlink()
    with pytest.raises(UserError, match="no finished network"):
        evaluate(Run.open(copy))


def test_a_damaged_network_is_refused(trained, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(trained.folder, copy)
    path = copy / "checkpoints" / "model.keras"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        evaluate(Run.open(copy))


def test_runs_are_named_with_commas_or_by_their_folder(tmp_path):
    for split in (1, 2, 10):
        (tmp_path / f"split{split}-seed0").mkdir()
        (tmp_path / f"split{split}-seed0" / "config.json").write_text("{}")
    one, two = tmp_path / "split1-seed0", tmp_path / "split2-seed0"
    assert named_runs(f"{one},{two}") == [one, two]
    assert named_runs(str(one)) == [one]
    assert [run.name for run in named_runs(str(tmp_path))] == [
        "split1-seed0", "split2-seed0", "split10-seed0",
    ]  # fmt: skip
    assert named_runs("nowhere") == [Path("nowhere")]
