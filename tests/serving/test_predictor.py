"""Predictions from an exported model: errors, damage, several videos."""

import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stfn_keras.serving.results import check_ours
from stfn_keras.errors import UserError
from stfn_keras.exporting.export import export
from stfn_keras.figures import save_figure
from stfn_keras.serving.folder import newest_version
from stfn_keras.serving.predictor import Predictor


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    return export(trained, tmp_path_factory.mktemp("models") / "stfn")


def test_the_newest_version_is_taken(tmp_path):
    for version in ("2", "10", "9"):
        (tmp_path / version).mkdir()
    assert newest_version(tmp_path).name == "10"


def test_no_model_is_named(tmp_path):
    with pytest.raises(UserError, match="made by export.py"):
        Predictor(tmp_path)


def test_a_damaged_model_is_refused(model, tmp_path):
    copy = tmp_path / "1"
    shutil.copytree(model, copy)
    path = copy / "variables" / "variables.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="missing or damaged"):
        Predictor(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("preset", "magic", "magic"),
        ("version", 99, "version = 99, this version of stfn_keras has 1"),
        ("bound", 10.0, "bound = 10.0"),
        ("parameters", {"FinestScale": 3}, "parameters = "),
    ],
)
def test_flow_that_would_be_computed_otherwise_is_refused(
    model, tmp_path, key, value, message
):
    copy = tmp_path / "1"
    shutil.copytree(model, copy)
    path = copy / "assets.extra" / "config.json"
    config = json.loads(path.read_text())
    config["preprocessing"]["flow"]["dis"][key] = value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        Predictor(copy)


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "clip.json").write_text("{}")
    with pytest.raises(UserError, match="no predictions of ours"):
        check_ours(tmp_path / "clip")
    (tmp_path / "other.png").write_text("mine")
    with pytest.raises(UserError, match="no predictions of ours"):
        check_ours(tmp_path / "other")
    check_ours(tmp_path / "new")


def test_a_dollar_in_a_name_is_drawn(tmp_path):
    figure = plt.figure()
    figure.suptitle("win_$5_and_$6.avi")
    save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_video_that_cannot_be_used_says_why(model, tmp_path):
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(UserError, match="text.avi cannot be used: unreadable"):
        Predictor(model).predict(tmp_path / "text.avi")


def test_top_is_sorted(model):
    from stfn_keras.serving.predictor import Prediction

    found = Prediction(model, ("a", "b", "c"), np.array([0.2, 0.5, 0.3]), None, "dis")
    assert [label for label, _ in found.top(2)] == ["b", "c"]
