"""Snippets are where they should be, whole, and the same however they are made."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.video import decode, flow, image, prepare
from stfn_keras.video.extent import Extent
from stfn_keras.video.prepare import VideoError, prepare_video, snippet_positions

CONFIG = PreparationConfig(flow=("dis",), snippets=4, pairs=2)


@pytest.mark.parametrize(
    ("frames", "options", "expected"),
    [
        (6, {"snippets": 3}, [0, 0, 0]),
        (8, {"snippets": 3}, [0, 1, 2]),
        (105, {"snippets": 4}, [12, 37, 62, 87]),
        (10, {"snippets": 2, "rgb_per_snippet": 9}, [0, 1]),
        (1000, {"snippets": 1}, [497]),
    ],
)
def test_positions(frames, options, expected):
    assert snippet_positions(frames, PreparationConfig(**options)) == expected


def test_positions_stay_inside():
    for frames in range(6, 90):
        positions = snippet_positions(frames, PreparationConfig())
        assert positions == sorted(positions)
        assert 0 <= positions[0]
        assert positions[-1] + 5 < frames


def test_too_short(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", frames=2)
    with pytest.raises(VideoError) as caught:
        prepare_video(path, CONFIG)
    assert (caught.value.reason, caught.value.decoded) == ("too short", 2)
    three = render_clip(tmp_path / "b.avi", frames=3)
    assert prepare_video(three, CONFIG).positions == [0, 0, 0, 0]


def test_too_small(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", size=(64, 8))
    with pytest.raises(VideoError, match="too small"):
        prepare_video(path, CONFIG)


def test_snippets_hold_their_frames_and_flow(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", frames=23)
    config = PreparationConfig(
        flow=("dis", "dis_fine"), snippets=4, pairs=2, rgb_per_snippet=3
    )
    prepared = prepare_video(path, config)
    frames = dict(decode.read(path, (48, 64), range(23)))
    assert prepared.positions == [2, 7, 13, 18]
    assert (prepared.frames, prepared.frames_declared, prepared.rate) == (23, 23, 25)
    assert (prepared.height, prepared.width) == (48, 64)
    assert len(prepared.rgb) == 12
    for index, position in enumerate(prepared.positions):
        for offset in range(3):
            expected = image.encode_rgb(frames[position + offset])
            assert prepared.rgb[3 * index + offset] == expected
        grays = [
            cv2.cvtColor(frames[position + offset], cv2.COLOR_RGB2GRAY)
            for offset in range(3)
        ]
        for name in ("dis", "dis_fine"):
            codes = [
                flow.quantise(flow.compute(name, grays[pair], grays[pair + 1]))
                for pair in range(2)
            ]
            assert prepared.flow[name][index] == image.encode_flow(np.stack(codes))


def test_flow_points_where_the_texture_moves(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi")
    prepared = prepare_video(path, CONFIG)
    codes = image.decode_flow(prepared.flow["dis"][1], 48, 64)
    u, v = np.median(flow.dequantise(codes), (0, 1, 2))
    assert (u, v) == pytest.approx((-2, 0), abs=0.3)


def test_selected_snippets_are_those_of_a_full_run(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", frames=9)
    full = prepare_video(path, CONFIG)
    some = prepare_video(path, CONFIG, select=[3, 0, 3])
    assert some.positions == [full.positions[i] for i in (3, 0, 3)]
    assert some.rgb == [full.rgb[i] for i in (3, 0, 3)]
    assert some.flow["dis"] == [full.flow["dis"][i] for i in (3, 0, 3)]


def test_each_pair_is_computed_once(tmp_path, render_clip, monkeypatch):
    path = render_clip(tmp_path / "a.avi", frames=9)
    calls, compute = [], flow.compute

    def counted(*arguments):
        calls.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(flow, "compute", counted)
    config = PreparationConfig(flow=("dis",), snippets=25, pairs=5)
    assert len(set(prepare_video(path, config).positions)) == 4
    assert len(calls) == 8


def test_stored_size_is_that_of_frames_and_flow(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", size=(96, 64))
    config = PreparationConfig(flow=("dis",), snippets=1, pairs=1, size="32")
    prepared = prepare_video(path, config)
    assert (prepared.height, prepared.width) == (32, 48)
    assert image.decode_rgb(prepared.rgb[0]).shape == (32, 48, 3)
    codes = image.decode_flow(prepared.flow["dis"][0], 32, 48)
    # 2 pixels a frame in the file are 1 at half the size.
    assert np.median(flow.dequantise(codes)[..., 0]) == pytest.approx(-1, abs=0.2)


def test_unknown_preset(tmp_path, render_clip):
    with pytest.raises(UserError, match="Received: 'nope'"):
        prepare_video(tmp_path / "a.avi", PreparationConfig(flow=("nope",)))


def test_workers_do_not_import_tensorflow():
    """Guards against an import that doubles the time of a preparation."""
    code = (
        "import sys, data_prep.jobs.supervisor, data_prep.prepare; "
        "print([m for m in sys.modules if m in ('tensorflow', 'keras')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.real
def test_real_clips(real_data):
    ucf = real_data / "UCF-101/PushUps/v_PushUps_g01_c01.avi"
    prepared = prepare_video(ucf, PreparationConfig())
    assert (prepared.height, prepared.width) == (240, 320)
    assert len(prepared.rgb) == len(prepared.flow["dis"]) == 25
    sign = sorted((real_data / "WLASL-10/book").iterdir())[0]
    assert prepare_video(sign, PreparationConfig(), select=[0]).width == 256


def test_dense_layout_holds_the_snippet_layout(tmp_path, render_clip):
    """Pixel for pixel: tiles are whole JPEG blocks."""
    path = render_clip(tmp_path / "a.avi", frames=13, size=(62, 45), codec="ffv1")
    config = PreparationConfig(
        flow=("dis", "dis_fine"), snippets=4, pairs=3, rgb_per_snippet=2
    )
    snippets = prepare_video(path, config)
    dense = prepare_video(path, replace(config, layout="dense"))
    assert dense.positions == snippets.positions
    assert (len(dense.rgb), len(dense.flow["dis"])) == (13, 12)
    height, width = dense.height, dense.width
    for index, start in enumerate(dense.positions):
        frames = dense.rgb[start : start + 2]
        assert frames == snippets.rgb[2 * index : 2 * index + 2]
        for name, mosaics in dense.flow.items():
            pairs = [
                image.decode_flow(mosaic, height, width)
                for mosaic in mosaics[start : start + 3]
            ]
            expected = image.decode_flow(snippets.flow[name][index], height, width)
            np.testing.assert_array_equal(np.concatenate(pairs), expected)


def test_selected_snippets_of_a_dense_configuration(tmp_path, render_clip):
    """A model trained on a dense dataset predicts from snippets."""
    path = render_clip(tmp_path / "a.avi", frames=9)
    dense = replace(CONFIG, layout="dense")
    assert prepare_video(path, dense, [1, 3]) == prepare_video(path, CONFIG, [1, 3])


@pytest.mark.parametrize("frames", [9, 6])
def test_longer_snippets_of_a_dense_configuration(tmp_path, render_clip, frames):
    """A network that reaches further than the data's positions: 7 frames, 5 pairs."""
    path = render_clip(tmp_path / "a.avi", frames=frames)
    config = replace(CONFIG, layout="dense")
    dense, extent = prepare_video(path, config), Extent(7, 5)
    found = prepare_video(path, config, [0, 3], extent=extent)
    assert found.positions == ([0, 2] if frames == 9 else [0, 0])
    height, width = found.height, found.width
    for index, start in enumerate(found.positions):
        rgb = [dense.rgb[(start + n) % frames] for n in range(7)]
        assert found.rgb[7 * index :][:7] == rgb
        pairs = [dense.flow["dis"][(start + n) % (frames - 1)] for n in range(5)]
        expected = [image.decode_flow(pair, height, width)[0] for pair in pairs]
        codes = image.decode_flow(found.flow["dis"][index], height, width)
        np.testing.assert_array_equal(codes, expected)
    alone = prepare_video(path, config, [0, 3], extent=Extent(7))
    assert alone.rgb == found.rgb and not alone.flow


@pytest.mark.parametrize("layout", ["snippet", "dense"])
def test_results_beyond_what_a_record_holds(tmp_path, render_clip, monkeypatch, layout):
    path = render_clip(tmp_path / "a.avi", frames=9)
    config = replace(CONFIG, layout=layout, snippets=9)
    prepared = prepare_video(path, config)
    total = sum(map(len, prepared.rgb + prepared.flow["dis"]))
    monkeypatch.setattr(prepare, "MAX_ENCODED_BYTES", total)
    assert prepare_video(path, config) == prepared
    monkeypatch.setattr(prepare, "MAX_ENCODED_BYTES", total - 1)
    with pytest.raises(VideoError, match="too large"):
        prepare_video(path, config)


@pytest.mark.parametrize("layout", ["snippet", "dense"])
def test_a_video_too_high_for_its_mosaics(tmp_path, render_clip, monkeypatch, layout):
    """Settings that fit square videos need not fit a tall one."""
    monkeypatch.setattr(image, "MAX_SIDE", 200)
    config = replace(CONFIG, layout=layout, size="32", pairs=6)
    wide = prepare_video(render_clip(tmp_path / "a.avi", size=(48, 32)), config)
    assert (wide.height, wide.width) == (32, 48)
    tall = render_clip(tmp_path / "b.avi", size=(32, 48))
    if layout == "dense":  # a mosaic of a single pair
        assert prepare_video(tall, config).height == 48
    else:
        with pytest.raises(VideoError, match="too large"):
            prepare_video(tall, config)
    with pytest.raises(UserError, match="--pairs at most 6"):
        prepare_video(tall, replace(config, pairs=7))
