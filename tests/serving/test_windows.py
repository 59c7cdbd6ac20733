"""Windows of a long video are what the same parts of it are on their own."""

import tracemalloc

import numpy as np
import pytest
from small_clips import write_clip

from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.serving.windows import prepare_windows
from stfn_keras.video.container import VideoError
from stfn_keras.video.extent import Extent
from stfn_keras.video.prepare import prepare_video
from stfn_keras.video.writer import VideoWriter

CONFIG = PreparationConfig(snippets=7, pairs=2, size="32")
SELECT = [1, 3, 5]


@pytest.mark.parametrize(
    ("length", "stride"),
    [(1.0, 0.25), (1.0, 1.0), (0.5, 1.2), (10.0, 1.0), (3.4, 0.02)],
)
def test_a_window_equals_the_segment(small_clip, length, stride):
    windows = list(prepare_windows(small_clip, CONFIG, SELECT, length, stride))
    assert windows
    for number, window in enumerate(windows):
        assert window.start == pytest.approx(number * stride)
        part = (window.start, min(window.start + length, 3.6))
        alone = prepare_video(small_clip, CONFIG, SELECT, segment=part)
        assert window.prepared.frames == alone.frames
        assert window.prepared.rgb == alone.rgb
        assert window.prepared.flow == alone.flow


def test_windows_reach_the_end_and_stop_there(small_clip):
    windows = list(prepare_windows(small_clip, CONFIG, SELECT, 1.0, 0.9))
    assert [w.start for w in windows] == pytest.approx([0.0, 0.9, 1.8, 2.7])
    assert windows[-1].end == pytest.approx(3.6)
    assert windows[-1].prepared.frames == 22  # 68 to 89


def test_what_is_left_and_too_short_is_left_out(small_clip):
    windows = list(prepare_windows(small_clip, CONFIG, SELECT, 1.76, 1.76))
    assert [w.end for w in windows] == pytest.approx([1.76, 3.52])


def test_a_varying_frame_rate(tmp_path):
    path = tmp_path / "varying.mkv"
    draws = np.random.default_rng(0)
    times = np.concatenate([np.arange(30) * 0.02, 0.6 + np.arange(30) * 0.1])
    with VideoWriter(path, 32, 40, lossless=True) as video:
        for time in times:
            video.add(draws.integers(0, 255, (32, 40, 3), np.uint8), time)
    for window in prepare_windows(path, CONFIG, SELECT, 1.0, 0.5):
        if window.end < 3.5:
            part = (window.start, window.end)
            alone = prepare_video(path, CONFIG, SELECT, segment=part)
            assert window.prepared.rgb == alone.rgb
            assert window.prepared.flow == alone.flow


def test_without_flow_the_frames_are_the_same_and_no_flow_is_computed(
    small_clip, monkeypatch
):
    whole = list(prepare_windows(small_clip, CONFIG, SELECT, 1.0, 1.0))
    monkeypatch.setattr("stfn_keras.video.flow.compute", None)
    bare = list(prepare_windows(small_clip, CONFIG, SELECT, 1.0, 1.0, extent=Extent()))
    assert [w.prepared.rgb for w in bare] == [w.prepared.rgb for w in whole]
    assert not any(w.prepared.flow for w in bare)


def test_memory_does_not_grow_with_the_video(tmp_path):
    ours = [
        tracemalloc.Filter(True, f"*/{name}.py")
        for name in ("windows", "encoders", "image", "decode")
    ]
    kept = []
    for frames in (100, 400):
        path = write_clip(tmp_path / f"{frames}.mkv", frames)
        tracemalloc.start()
        for window in prepare_windows(path, CONFIG, SELECT, 1.0, 0.5):
            if window.end > frames / 25 - 0.75:  # the last but one
                traces = tracemalloc.take_snapshot().filter_traces(ours)
                kept.append(sum(trace.size for trace in traces.traces))
                break
        tracemalloc.stop()
    # Of 8 bytes a frame for the times; a snippet alone takes 4,000.
    assert kept[1] < kept[0] + 6_000, kept


@pytest.mark.parametrize(("length", "stride"), [(0.0, 1.0), (1.0, -1.0)])
def test_lengths_must_be_above_zero(small_clip, length, stride):
    with pytest.raises(UserError, match="above 0 seconds"):
        next(prepare_windows(small_clip, CONFIG, SELECT, length, stride))


def test_a_video_without_one_window_is_too_short(tmp_path):
    path = write_clip(tmp_path / "short.mkv", 2)
    with pytest.raises(VideoError, match="too short"):
        next(prepare_windows(path, CONFIG, SELECT, 1.0, 1.0))
