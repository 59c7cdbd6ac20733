"""Evaluation of a trained run: counts, batches, views, the report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation import evaluate as evaluation
from stfn_keras.evaluation.evaluate import evaluate, parse_views, score_run
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.training.run import Run


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
    page = (tmp_path / "report" / "index.html").read_text()
    assert "http" not in page


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
