"""Predictions from an exported model: errors, damage, several videos."""

import json

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.exporting.export import export
from stfn_keras.serving.predictor import Predictor, newest_version


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
    import shutil

    copy = tmp_path / "1"
    shutil.copytree(model, copy)
    path = copy / "variables" / "variables.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="missing or damaged"):
        Predictor(copy)


def test_an_unknown_preset_in_a_model_is_named(model, tmp_path):
    import shutil

    copy = tmp_path / "1"
    shutil.copytree(model, copy)
    path = copy / "assets.extra" / "config.json"
    config = json.loads(path.read_text())
    config["preprocessing"]["flow"]["dis"]["preset"] = "magic"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="magic"):
        Predictor(copy).predict(tmp_path / "a.avi")


def test_a_video_that_cannot_be_used_says_why(model, tmp_path):
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(UserError, match="text.avi cannot be used: unreadable"):
        Predictor(model).predict(tmp_path / "text.avi")


def test_top_is_sorted(model):
    from stfn_keras.serving.predictor import Prediction

    found = Prediction(model, ("a", "b", "c"), np.array([0.2, 0.5, 0.3]), None, "dis")
    assert [label for label, _ in found.top(2)] == ["b", "c"]
