"""Networks of several frames, from videos to the scores of a raw file."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import small_model, small_training
from forked import run as forked
from small_clips import write_clip

from data_prep.plan import Configs, DatasetOptions
from data_prep.prepare import prepare_dataset
from stfn_keras.config import PreparationConfig, TowerStageConfig
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import default_views, evaluate, score_run
from stfn_keras.evaluation.explaining import explain_videos
from stfn_keras.exporting.export import export
from stfn_keras.serving.playing import play
from stfn_keras.serving.predictor import Predictor
from stfn_keras.serving.sliding import SlidingNetwork
from stfn_keras.serving.stream import StreamConfig, recognise
from stfn_keras.training.archive import opened
from stfn_keras.training.publishing import publish
from stfn_keras.training.train import train
from stfn_keras.video.prepare import prepare_video

LENGTHS = (7, 12, 30, 90)
STREAMS = ("rgb", "flow", "dynamic_rgb", "dynamic_flow")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of two classes, some shorter than what a network below reads."""
    folder = tmp_path_factory.mktemp("clips")
    for label, first in (("fall", 0), ("rise", 1)):
        for number in range(first, 16, 2):
            frames = LENGTHS[number // 2 % len(LENGTHS)]
            path = folder / label / f"v_{label}_g{number:02d}_c01.mkv"
            write_clip(path, frames, seed=number)
    return folder


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """By layout, an untrained run of four streams on the clips' own data."""
    runs = {}
    for layout, stored, frames, pairs in (("snippet", 3, 2, 2), ("dense", 1, 9, 8)):
        folder = tmp_path_factory.mktemp(layout)
        options = DatasetOptions(
            videos=str(clips), out=str(folder / "data"), name="tiny", workers=1
        )
        preparation = PreparationConfig(
            snippets=4, pairs=2, rgb_per_snippet=stored, layout=layout, size="40"
        )
        prepare_dataset(options, Configs(preparation))
        model = small_model(
            network="four_stream", frames=frames, pairs=pairs, segments=2, rgb_size=32,
            flow_size=24,
        )  # fmt: skip
        none = TowerStageConfig(epochs=0, segments=2, batch=4)
        settings = small_training(rgb=none, flow_stage=none, stages=STREAMS)
        runs[layout] = train(folder / "data", folder / "run", model, settings)
    return runs


@pytest.fixture(scope="module", params=["snippet", "dense"])
def model(request, trained, tmp_path_factory):
    run = trained[request.param]
    return run, export(run, tmp_path_factory.mktemp("models") / "four")


def test_a_raw_file_scores_as_in_the_evaluation(model, clips):
    run, folder = model
    scores = score_run(run, default_views(run), batch=2)
    predictor = Predictor(folder)
    assert len(scores.video_id) >= 4
    lengths = set()
    for name, logits in zip(scores.video_id, scores.logits, strict=True):
        found = predictor.predict(clips / name)
        expected = tf.nn.softmax(logits).numpy()
        np.testing.assert_allclose(found.scores, expected, atol=1e-6)
        lengths.add(found.prepared.frames)
    assert len(lengths) > 1
    assert np.ptp(scores.logits, axis=0).max() > 1e-4  # videos are told apart


def test_serve_jpeg_takes_the_frames_of_a_segment_in_a_row(model, clips):
    run, folder = model
    predictor, config = Predictor(folder), run.model
    signatures = tf.saved_model.load(str(folder)).signatures
    shape = signatures["serve_jpeg"].structured_input_signature[1]["rgb_jpeg"].shape
    assert shape.as_list() == [None, 2 * config.frames]
    assert set(signatures["features"].structured_outputs) == {
        f"{stream}_features" for stream in STREAMS
    }
    video = next(clips.glob("fall/*.mkv"))
    prepared = predictor.preparer.prepare(video)
    encoded = predictor.preparer.encoded(prepared)
    assert len(encoded["rgb_jpeg"]) == 2 * config.frames
    found = signatures["serve_jpeg"](
        **{name: tf.constant([value]) for name, value in encoded.items()}
    )
    expected = predictor.predict(video).scores
    np.testing.assert_allclose(found["scores"][0], expected, atol=1e-6)


def test_parity_was_measured_and_warm_up_requests_fit(model):
    _, folder = model
    extra = folder / "assets.extra"
    parity = json.loads((extra / "parity.json").read_text())["saved_model"]
    assert parity["passed"] and parity["max_abs_diff"] < 1e-5
    assert (extra / "tf_serving_warmup_requests").stat().st_size > 1000


def test_an_archive_is_proven_on_made_up_videos(trained, tmp_path):
    path = publish(trained["dense"].folder, tmp_path / "four.zip").path
    with opened(path) as run:
        folder = export(run, tmp_path / "m")
    parity = json.loads((folder / "assets.extra" / "parity.json").read_text())
    assert parity["saved_model"]["passed"] and parity["saved_model"]["made_up"]


def test_windows_are_videos_of_their_own(model, clips):
    """Also those that a snippet of the network reaches beyond: they start over."""
    _, folder = model
    preparer = Predictor(folder).preparer
    video, seen = clips / "fall" / "v_fall_g06_c01.mkv", set()
    for length in (0.2, 0.4):
        for window in preparer.windows(video, length, 0.2):
            alone = prepare_video(
                video, preparer.preparation, preparer.select, extent=preparer.extent,
                segment=(window.start, window.end),
            )  # fmt: skip
            made = window.prepared
            assert (made.rgb, made.flow) == (alone.rgb, alone.flow)
            seen.add(made.frames)
    assert {5, 10} <= seen


def test_a_live_stream(model, clips):
    """A segment takes as many frames as it reaches over; a shorter stream says so."""
    run, folder = model
    network = SlidingNetwork(folder)
    assert network.reach == max(run.model.frames, run.model.pairs + 1)
    config = StreamConfig(every=0.4, realtime=False)

    def recognised(name):
        return recognise(play(clips / name), network, config, lambda *_: True)

    assert recognised("fall/v_fall_g06_c01.mkv").updates >= 8
    report = recognised("fall/v_fall_g00_c01.mkv")  # 7 frames
    if network.reach == 3:
        assert report.updates == 1 and not report.fault
    else:
        assert "takes 9 frames in a row. Received a stream of 7" in report.fault


def test_heat_maps_and_the_report_show_first_frames(model, tmp_path):
    run, _ = model
    evaluate(run, batch=4, report=tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert re.search("data:image/jpeg|<img", page)
    (name, *_) = score_run(run, "1x1", batch=4).video_id
    tables = explain_videos(run, [str(name)], report=tmp_path / "report")
    (table,) = tables.values()
    assert {*STREAMS, "both"} <= set(table)
    assert list((tmp_path / "report" / "heat").glob("*.png"))


def test_more_frames_than_stored_are_refused(trained, tmp_path):
    run = trained["snippet"]
    model = small_model(network="four_stream", frames=4, pairs=2, segments=2)
    with pytest.raises(UserError, match="--rgb_per_snippet=4"):
        train(
            run.manifest()[0], tmp_path / "run", model, small_training(stages=STREAMS)
        )


@pytest.mark.slow
def test_from_flags_to_an_evaluation(trained, tmp_path):
    data = trained["snippet"].manifest()[0]
    made = forked(
        "train.py", "--data", str(data), "--out", str(tmp_path / "run"),
        "--network=four_stream", "--tower=tiny", "--frames", "2", "--pairs=2",
        "--rgb_size=16", "--segments=2", "--rgb_weights=none", "--rgb_epochs=1",
        "--flow_epochs=1", "--rgb_batch=4", "--flow_batch=4", "--rgb_segments=2",
        "--flow_segments=2", "--rgb_randaugment=1", "--rgb_erase=0.5",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    found = forked("evaluate.py", "--run", str(tmp_path / "run"), "--json")
    assert found.returncode == 0, found.stderr[-2000:]
    assert json.loads(found.stdout)["videos"] >= 4
