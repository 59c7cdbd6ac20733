"""What TensorBoard is given: tags, pictures, and how much of them."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stfn_keras.figures import as_pixels, confusion_figure
from stfn_keras.training import board as boards
from stfn_keras.training.board import StageBoard, described
from stfn_keras.training.snippets_picture import snippets_figure
from stfn_keras.video import flow

LABELS = ("left", "right", "up")


def read(folder):
    events = EventAccumulator(str(folder), {"tensors": 0})
    events.Reload()
    return events


def values(events, tag):
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}


def pictures(events, tag):
    """The pictures of a tag by step, uint8 (height, width, 3)."""
    encoded = {e.step: e.tensor_proto.string_val[2] for e in events.Tensors(tag)}
    return {step: tf.io.decode_png(png).numpy() for step, png in encoded.items()}


def batch(videos=2, segments=3, side=16, streams=("rgb", "flow")):
    draws = np.random.default_rng(0)
    channels = {"rgb": 3, "flow": 4}
    inputs = {
        s: draws.integers(1, 255, (videos, segments, side, side, channels[s]), "uint8")
        for s in streams
    }
    return inputs, np.eye(len(LABELS), dtype="float32")[np.arange(videos) % 3]


def test_curves_of_training_and_validation_share_a_chart(tmp_path):
    row = {"stage": "fusion", "epoch": 2, "loss": 1.5, "val_loss": 2.5, "top1": 0.5,
           "val_top1": 0.25, "rgb_logits_loss": 0.75, "val_rgb_logits_loss": 3.0,
           "mean_class": 0.1, "rate": 1e-3, "seconds": 4.0}  # fmt: skip
    with StageBoard(tmp_path, "fusion", LABELS) as board:
        board.scalars(row, 2)
    training, validation = (
        read(tmp_path / "fusion" / log) for log in ("training", "validation")
    )
    assert set(training.Tags()["tensors"]) == {
        "loss/total", "loss/rgb_logits", "accuracy/top1", "accuracy/mean_class",
        "epoch/rate", "epoch/seconds",
    }  # fmt: skip
    assert values(training, "loss/total") == {2: 1.5}
    assert values(validation, "loss/total") == {2: 2.5}
    assert values(validation, "loss/rgb_logits") == {2: 3.0}
    assert values(validation, "accuracy/top1") == {2: 0.25}


def test_a_stage_without_validation_has_one_log(tmp_path):
    with StageBoard(tmp_path, "rgb", LABELS) as board:
        board.scalars({"loss": 1.0, "rate": 0.1}, 1)
    assert [p.name for p in (tmp_path / "rgb").iterdir()] == ["training"]


def test_numbers_are_readable_while_the_stage_runs(tmp_path):
    with StageBoard(tmp_path, "rgb", LABELS) as board:
        board.scalars({"loss": 1.0}, 1)
        assert values(read(tmp_path / "rgb" / "training"), "loss/total") == {1: 1.0}


@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 7, 30, 80, 340])
def test_pictures_are_due_at_the_start_the_end_and_seldom_between(
    tmp_path, epochs, monkeypatch
):
    monkeypatch.setattr(boards, "PICTURE_SECONDS", 0.0)
    board = StageBoard(tmp_path, "rgb", LABELS)
    due = [e for e in range(1, epochs + 1) if board.due(e, epochs)]
    assert due[0] == 1
    assert due[-1] == epochs
    assert len(due) <= boards.PICTURES + 1


def test_a_stage_of_seconds_shows_pictures_at_its_end_alone(tmp_path, monkeypatch):
    """An ablation has hundreds of such stages."""
    monkeypatch.setattr(boards, "PICTURE_SECONDS", 1e9)
    board = StageBoard(tmp_path, "fusion", LABELS)
    assert [e for e in range(1, 31) if board.due(e, 30)] == [30]


@pytest.mark.parametrize("streams", [("rgb", "flow"), ("rgb",), ("flow",)])
def test_snippets_of_the_streams_there_are(tmp_path, streams):
    inputs, labels = batch(streams=streams)
    with StageBoard(tmp_path, "rgb", LABELS) as board:
        board.snippets(inputs, labels, 4)
    shown = pictures(read(tmp_path / "rgb" / "training"), "snippets")
    assert list(shown) == [4]
    height, width, _ = shown[4].shape
    assert height > 2 * 100 * len(streams)
    assert width > 3 * 100
    assert shown[4].std() > 10


def test_cached_features_have_no_snippets(tmp_path):
    features = {"rgb_features": np.zeros((2, 3, 8), "float32")}
    with StageBoard(tmp_path, "fusion", LABELS) as board:
        board.snippets(features, np.eye(3)[:2], 1)
    assert not list(tmp_path.rglob("events*"))


def test_a_strip_shows_frames_and_directions():
    """Frames keep their colour; a flow to the right is red, one to the left cyan."""
    rgb = np.zeros((1, 2, 8, 8, 3), "uint8")
    rgb[:, 0, ..., 2], rgb[:, 1, ..., 1] = 255, 255
    codes = np.full((1, 2, 8, 8, 2), 128, "uint8")
    codes[:, 0, ..., 0], codes[:, 1, ..., 0] = flow.quantise(np.array([5.0, -5.0]))
    pixels = as_pixels(snippets_figure({"rgb": rgb, "flow": codes}, ["left"]), 100)
    # A strip begins 0.3 inches from the left and from above; its cells are an inch.
    assert [tuple(pixels[y, x]) for y in (80, 183) for x in (80, 180)] == [
        (0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255),
    ]  # fmt: skip


def test_slow_motion_is_visible_and_noise_is_not_blown_up():
    slow, still = np.full((2, 1, 1, 8, 8, 2), 128, "uint8")
    slow[..., 0] = flow.quantise(np.array(2.0))
    still[..., 0] = 129  # a sixth of a pixel
    seen = [
        as_pixels(snippets_figure({"flow": codes}, ["x"]), 100)[80, 80].astype(int)
        for codes in (slow, still)
    ]
    assert seen[0].min() < 20
    assert seen[1].min() > 200


def test_a_mixed_video_names_both_classes():
    assert described(np.array([0.0, 1.0, 0.0]), LABELS) == "right"
    assert described(np.array([0.3, 0.0, 0.7]), LABELS) == "70 % up + 30 % left"
    assert described(np.array([1.0]), ("one",)) == "one"


def test_letters_that_the_font_lacks_are_no_warning():
    assert as_pixels(confusion_figure(np.eye(2, dtype=int), ["跑步", "जल"])).any()


@pytest.mark.parametrize("log", ["validation", "training"])
def test_pictures_go_to_the_log_of_the_videos_counted(tmp_path, log):
    inputs, labels = batch()
    with StageBoard(tmp_path, "rgb", LABELS) as board:
        board.pictures((inputs, {"logits": labels}), (log, np.eye(3, dtype=int)), 3)
    assert list(pictures(read(tmp_path / "rgb" / log), "confusion")) == [3]
    assert list(pictures(read(tmp_path / "rgb" / "training"), "snippets")) == [3]


def test_event_files_stay_small(tmp_path, monkeypatch):
    """Noise cannot be compressed, and a caller may ask after every epoch."""
    usual = boards.MOST_PICTURES
    monkeypatch.setattr(boards, "MOST_PICTURES", 2)
    inputs, _ = batch(videos=16, segments=25, side=224)
    counts = np.random.default_rng(0).integers(0, 9, (60, 60))
    with StageBoard(tmp_path, "rgb", [f"class {i}" for i in range(60)]) as board:
        for epoch in range(1, 5):
            board.scalars({"loss": 1.0, "val_loss": 1.0}, epoch)
            board.snippets(inputs, np.eye(60)[:16], epoch)
            board.confusion(counts, epoch)
    events = {log: read(tmp_path / "rgb" / log) for log in ("training", "validation")}
    assert list(pictures(events["training"], "snippets")) == [1, 2]
    assert list(pictures(events["validation"], "confusion")) == [1, 2]
    size = sum(p.stat().st_size for p in tmp_path.rglob("events*"))
    assert size / 2 * usual < 40e6
