"""Predictions from an exported model: errors, damage, several videos."""

import json
import shutil
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from small_clips import SIZE
from small_export import write_export

from stfn_keras.errors import UserError
from stfn_keras.figures import save_figure
from stfn_keras.serving.folder import newest_version, read_config
from stfn_keras.serving.predictor import Prediction, Predictor
from stfn_keras.serving.preparer import Preparer
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime
from stfn_keras.serving.sheet import draw_sheet
from stfn_keras.video import decode
from stfn_keras.video.writer import VideoWriter


@pytest.fixture
def model(small_stfn):
    return small_stfn


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


def test_an_export_of_another_version_is_read_or_refused(model):
    config = read_config(model)
    older = dict(config["model"], motion_gate=False)  # its name before it had kinds
    del older["feature_motion"], older["frames"]
    assert Preparer({**config, "model": older}).extent == Preparer(config).extent
    newer = dict(config["model"], quantum=1)
    with pytest.raises(UserError, match="newer version: it has quantum besides"):
        Preparer({**config, "model": newer})


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
    found = Prediction(model, ("a", "b", "c"), np.array([0.2, 0.5, 0.3]), None, "dis")
    assert [label for label, _ in found.top(2)] == ["b", "c"]


def frame_folder(folder: Path, clip: Path, flow: bool = False) -> Path:
    """The frames of a clip as PNG, and if asked for flow that moves to the right."""
    folder.mkdir()
    info = decode.count(clip)
    frames = decode.read(clip, (info.height, info.width), range(30))
    for index, frame in frames:
        cv2.imwrite(str(folder / f"img_{index + 1:05d}.png"), frame[..., ::-1])
        for axis, code in (("x", 150), ("y", 128)) if flow else ():
            codes = np.full(frame.shape[:2], code, np.uint8)
            cv2.imwrite(str(folder / f"flow_{axis}_{index + 1:05d}.png"), codes)
    return folder


def test_scores_are_those_of_the_served_graph(model, small_clip):
    predictor = Predictor(model)
    found = predictor.predict(small_clip)
    served = tf.saved_model.load(str(model)).signatures["serve_jpeg"]
    inputs = predictor.preparer.encoded(found.prepared)
    batch = {name: tf.constant([value]) for name, value in inputs.items()}
    np.testing.assert_allclose(found.scores, served(**batch)["scores"][0], atol=1e-6)
    assert found.scores.max() > 0.4  # they do tell something


def test_a_network_without_flow_computes_none(small_spatial, small_clip, monkeypatch):
    monkeypatch.setattr("stfn_keras.video.flow.compute", None)
    found = Predictor(small_spatial).predict(small_clip)
    assert found.flow is None and not found.prepared.flow
    draw_sheet(found, small_clip.with_suffix(".png"))
    assert small_clip.with_suffix(".png").stat().st_size > 1000


def test_its_frames_are_those_that_it_would_see_with_flow(
    small_spatial, model, small_clip
):
    spatial, stfn = Predictor(small_spatial), Predictor(model)
    assert (
        spatial.predict(small_clip).prepared.rgb
        == stfn.predict(small_clip).prepared.rgb
    )


def test_a_network_without_rgb(small_temporal, small_clip):
    found = Predictor(small_temporal).predict(small_clip)
    assert found.flow == "dis"
    assert found.scores.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_folder_of_frames_is_scored_as_the_video_of_them(model, small_clip, tmp_path):
    folder = frame_folder(tmp_path / "frames", small_clip)
    short = tmp_path / "short.mkv"
    with VideoWriter(short, *SIZE, lossless=True) as video:
        for index, frame in decode.read(small_clip, SIZE, range(30)):
            video.add(frame, index / 25)
    predictor = Predictor(model)
    frames, video = predictor.predict(folder), predictor.predict(short)
    assert frames.prepared.rgb == video.prepared.rgb
    np.testing.assert_array_equal(frames.scores, video.scores)


def test_flow_of_another_program_is_read_and_never_computed(small_clip, tmp_path):
    model = write_export(tmp_path / "1", external=True)
    predictor = Predictor(model)
    folder = frame_folder(tmp_path / "frames", small_clip, flow=True)
    found = predictor.predict(folder)
    assert (predictor.views(found.prepared)["flow"][..., 0::2] > 140).all()
    with pytest.raises(UserError, match="another program extracted"):
        predictor.predict(small_clip)
    with pytest.raises(UserError, match="damaged"):  # no flow images
        predictor.predict(frame_folder(tmp_path / "bare", small_clip))


def test_windows_are_scored_as_the_parts_of_the_video(model, small_clip):
    predictor = Predictor(model)
    windows = list(predictor.windows(small_clip, 1.2, 0.6))
    assert [(w.start, w.end) for w in windows] == [
        pytest.approx((0.6 * n, 0.6 * n + 1.2)) for n in range(5)
    ]
    # The texture turns from cyan to red on the way: so do the scores.
    assert np.abs(windows[0].scores - windows[-1].scores).max() > 1e-3


def test_an_engine_needs_no_digest(model, small_clip, tmp_path, monkeypatch):
    """It is not among the files that were published."""
    engine = SavedModelRuntime(model / "saved_model.pb")
    opened = []

    def open_engine(path):
        opened.append(path)
        return engine

    monkeypatch.setattr("stfn_keras.serving.runtimes.open.TensorRTRuntime", open_engine)
    found = Predictor(model, str(tmp_path / "stfn.engine")).predict(small_clip)
    assert opened == [tmp_path / "stfn.engine"]
    assert found.scores.shape == (3,)


def test_a_copy_of_the_configuration_is_a_version(model, tmp_path):
    shutil.copytree(model / "assets.extra", tmp_path / "1" / "assets.extra")
    assert newest_version(tmp_path / "1") == tmp_path / "1" == newest_version(tmp_path)


def test_a_format_that_was_not_published_is_refused(model):
    with pytest.raises(UserError, match="published as saved_model. Received: onnx"):
        Predictor(model, "onnx")
