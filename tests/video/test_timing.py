"""Positions in time, and segments of videos."""

from fractions import Fraction

import av
import nasty_corpus
import numpy as np
import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.video import decode
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import VideoError, prepare_video, snippet_positions
from stfn_keras.video.timing import Clock, is_even, mean_rate

CONFIG = PreparationConfig(snippets=3, pairs=2)
KEEP = DecodingConfig(on_damaged="keep")


def refusal(path, segment, decoding=DEFAULT_DECODING) -> VideoError:
    with pytest.raises(VideoError) as caught:
        decode.count(path, decoding, segment)
    return caught.value


def test_even_time_stamps_give_the_index_formula():
    """Exactly, where (k + 0.5) / K of the time falls on a frame too."""
    for frames in range(6, 60):
        for snippets in (1, 3, 7, 25):
            config = PreparationConfig(snippets=snippets)
            expected = snippet_positions(frames, config)
            even = np.arange(frames) * 8.0
            assert snippet_positions(frames, config, even) == expected


def test_positions_follow_time():
    """Twice as many frames a second in the second half of the time."""
    seconds = np.concatenate([np.arange(10) * 2.0, 20 + np.arange(23) * 1.0])
    config = PreparationConfig(snippets=4, pairs=2)  # places: 31, 41 seconds
    wished = np.array([0.125, 0.375, 0.625, 0.875]) * 41
    positions = snippet_positions(33, config, seconds)
    assert positions == [2, 7, 15, 25]
    for index, time in zip(positions, wished, strict=True):
        assert seconds[index] <= time < seconds[index + 1]


def test_positions_of_any_time_stamps_stay_inside():
    draws = np.random.default_rng(0)
    for frames in range(6, 40):
        seconds = np.cumsum(draws.exponential(1, frames))
        positions = snippet_positions(frames, PreparationConfig(), seconds)
        assert positions == sorted(positions)
        assert 0 <= positions[0]
        assert positions[-1] + 5 < frames


def test_a_grid_with_jitter_is_even():
    grid = np.arange(100) / 30
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, 100) / 30
    assert is_even(np.round(grid, 3))
    assert is_even(grid + jitter)
    assert not is_even(np.where(grid > 1, grid + 0.1, grid))
    assert mean_rate(np.round(grid, 3), 30.0) == 30.0
    assert mean_rate(grid * 2, 30.0) == pytest.approx(15.0)
    assert mean_rate(grid, 0.0) == pytest.approx(30.0)


def test_time_stamps_out_of_order_are_not_used():
    clock = Clock(25.0, Fraction(1, 100))
    times = [clock.tick(stamp) for stamp in (100, 104, 102, None)]
    assert (times, clock.first) == ([0, 0.04, 0.08, 0.12], 1.0)
    np.testing.assert_allclose(clock.seconds(), [0, 0.04, 0.08, 0.12])
    unknown = Clock(0.0, Fraction(1, 100))
    assert unknown.tick(None) is None
    assert unknown.seconds() is None


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_varying_rate(tmp_path, name):
    """A pause of a second in the middle of a video of 25 frames per second."""
    times = [40 * i + (1000 if i >= 12 else 0) for i in range(24)]
    path = nasty_corpus.render(tmp_path / name, "libx264", times=times)
    info = decode.count(path)
    assert info.rate == pytest.approx(23 / 1.92)
    np.testing.assert_allclose(info.seconds * 1000, times, atol=1)
    prepared = prepare_video(path, PreparationConfig(snippets=4, pairs=2))
    # The pause is shown by the frame before it, number 11.
    assert prepared.positions == [5, 11, 11, 16]
    assert prepared.rate == pytest.approx(23 / 1.92)


def test_reordered_frames_of_avi_files_keep_the_index_formula(tmp_path):
    """AVI files have no time stamps that say when a B-frame is shown."""
    path = nasty_corpus.render(tmp_path / "a.avi", options={"bf": "2"})
    info = decode.count(path)
    assert (info.rate, info.seconds) == (25.0, None)
    assert decode.count(path, segment=(0.2, 0.4)).first == 5


def test_a_segment_is_a_video_of_its_own(tmp_path):
    path = nasty_corpus.render(tmp_path / "a.avi")
    info = decode.count(path, segment=(0.2, 0.6))
    assert (info.first, info.frames, info.declared) == (5, 10, 24)
    whole = dict(decode.read(path, (48, 64), range(24)))
    part = dict(decode.read(path, (48, 64), {0, 9}, first=5))
    np.testing.assert_array_equal(part[0], whole[5])
    np.testing.assert_array_equal(part[9], whole[14])
    prepared = prepare_video(path, CONFIG, segment=(0.2, 0.6))
    assert prepared.positions == snippet_positions(10, CONFIG)
    assert prepared.frames == 10
    config = PreparationConfig(snippets=8, pairs=2, layout="dense")
    dense = prepare_video(path, config)
    assert prepared.rgb == [dense.rgb[5 + p] for p in prepared.positions]


def test_ends_are_open(tmp_path):
    path = nasty_corpus.render(tmp_path / "a.mkv")
    parts = [decode.count(path, segment=(k * 0.24, (k + 1) * 0.24)) for k in range(4)]
    assert [(part.first, part.frames) for part in parts] == [
        (0, 6), (6, 6), (12, 6), (18, 6)
    ]  # fmt: skip


def test_times_count_from_the_first_frame(tmp_path):
    times = [5000 + 40 * i for i in range(24)]
    path = nasty_corpus.render(tmp_path / "a.mkv", times=times)
    assert decode.count(path).frames == 24
    info = decode.count(path, segment=(0.2, 0.6))
    assert (info.first, info.frames) == (5, 10)


def test_a_segment_of_a_varying_rate(tmp_path):
    times = [40 * i + (1000 if i >= 12 else 0) for i in range(24)]
    path = nasty_corpus.render(tmp_path / "a.mp4", "libx264", times=times)
    info = decode.count(path, segment=(1.44, 2.0))
    assert (info.first, info.frames, info.rate) == (12, 12, pytest.approx(25))
    assert refusal(path, (0.6, 1.4)).reason == "no frames"


def test_segments_beyond_the_end(tmp_path):
    path = nasty_corpus.render(tmp_path / "a.avi")  # 0.96 seconds
    assert refusal(path, (1.0, 2.0)).reason == "no frames"
    assert decode.count(path, segment=(0.48, 1.0)).frames == 12  # 92 %
    error = refusal(path, (0.48, 1.04))  # 86 %
    assert (error.reason, error.decoded) == ("damaged", 12)
    assert decode.count(path, KEEP, (0.48, 1.4)).frames == 12  # 52 %
    assert refusal(path, (0.48, 1.5), KEEP).reason == "damaged"


def test_damage_behind_a_segment_does_not_matter(tmp_path):
    path = nasty_corpus.render(tmp_path / "a.avi", frames=40)
    nasty_corpus.change(
        path, "b.avi", lambda data: nasty_corpus._filled(data, 0.8, 2000)
    )
    error = refusal(tmp_path / "b.avi", None)
    assert error.reason == "damaged"
    end = (error.decoded - 2) / 25
    assert decode.count(tmp_path / "b.avi", segment=(0.2, end)).errors == 0
    assert refusal(tmp_path / "b.avi", (0.2, 1.6)).reason == "damaged"
    assert refusal(tmp_path / "b.avi", (1.5, 1.6)).reason == "damaged"
    kept = decode.count(tmp_path / "b.avi", KEEP, (0.2, 1.6))
    assert kept.errors > 0
    assert kept.frames < 35


def test_limits_of_a_segment(tmp_path):
    path = nasty_corpus.render(tmp_path / "a.avi")
    few = DecodingConfig(max_frames=12, max_seconds=0.5)
    assert refusal(path, None, few).reason == "too large"
    assert decode.count(path, few, (0.1, 0.4)).frames == 7
    assert refusal(path, (0.1, 0.6), few).reason == "too large"
    assert refusal(tmp_path / "no.avi", (0.1, 0.6), few).reason == "missing"


@pytest.mark.parametrize("segment", [(1.0, 1.0), (-1.0, 1.0), (0.0, float("nan"))])
def test_impossible_segments(tmp_path, segment):
    with pytest.raises(ValueError, match="a segment starts"):
        decode.count(tmp_path / "a.avi", segment=segment)


@pytest.mark.real
def test_real_clips_keep_their_positions(real_data):
    """The index formula holds for all but two clips, which lack frames in between.

    Among them are files with B-frames, whose time stamps are out of order.
    """
    clips = sorted((real_data / "UCF-101").rglob("*_c01.avi"))[::4]
    signs = sorted((real_data / "WLASL-10").rglob("*.mp4"))[::20]
    assert len(clips) > 15
    for path in clips + signs:
        info = decode.count(path)
        if path.name == "v_JumpingJack_g20_c01.avi":
            continue
        assert info.seconds is None, path
        with av.open(str(path)) as file:
            assert info.rate == float(file.streams.video[0].average_rate)


@pytest.mark.real
def test_a_real_clip_with_dropped_frames(real_data):
    """116 of 120 frames: four were dropped when it was recorded."""
    path = real_data / "UCF-101/JumpingJack/v_JumpingJack_g20_c01.avi"
    info = decode.count(path)
    assert (info.declared, info.frames) == (120, 116)
    assert (np.diff(info.seconds).round(2) == 0.07).sum() == 4
    by_time = snippet_positions(116, PreparationConfig(), info.seconds)
    by_index = snippet_positions(116, PreparationConfig())
    assert np.abs(np.subtract(by_time, by_index)).max() <= 3
