"""MP4 files trimmed by an edit list are sound, and only what they show counts."""

import nasty_corpus
import numpy as np
import pytest
from av.stream import Stream

from stfn_keras.config import PreparationConfig
from stfn_keras.video import decode
from stfn_keras.video.limits import DecodingConfig
from stfn_keras.video.prepare import VideoError, prepare_video, snippet_positions

CONFIG = PreparationConfig(snippets=3, pairs=2)
SHOWN = range(25, 40)  # of 40 frames, after trimming a second of 25


@pytest.fixture(params=["libx264", "libx264 with B-frames", "mpeg4"])
def trimmed(request, tmp_path):
    """A video of 40 frames, and its copy from 1 s on, between two key frames."""
    codec, *reordered = request.param.split(" with ")
    options = {"bf": "2" if reordered else "0", "g": "100" if "264" in codec else "12"}
    whole = nasty_corpus.render(tmp_path / "a.mp4", codec, frames=40, options=options)
    nasty_corpus.copy_from(whole, tmp_path / "b.mp4", 1.0)
    assert b"elst" in (tmp_path / "b.mp4").read_bytes()
    return whole, tmp_path / "b.mp4"


def test_both_passes_see_what_is_shown(trimmed):
    whole, part = trimmed
    info = decode.count(part)
    assert (info.declared, info.frames, info.rate) == (15, 15, 25.0)
    assert (info.first, info.seconds) == (0, None)
    expected = dict(decode.read(whole, nasty_corpus.SIZE[::-1], SHOWN))
    found = dict(decode.read(part, nasty_corpus.SIZE[::-1], range(15)))
    for index, number in enumerate(SHOWN):
        np.testing.assert_array_equal(found[index], expected[number])
    prepared = prepare_video(part, CONFIG)
    assert prepared.positions == snippet_positions(15, CONFIG)


def test_segments_count_from_the_first_frame_shown(trimmed):
    info = decode.count(trimmed[1], segment=(0.2, 0.4))
    assert (info.first, info.frames) == (5, 5)


def test_limits_hold_for_what_is_shown(trimmed):
    assert decode.count(trimmed[1], DecodingConfig(max_frames=15)).frames == 15
    with pytest.raises(VideoError, match="too large"):
        decode.count(trimmed[1], DecodingConfig(max_frames=14))


def test_a_trimmed_end(tmp_path):
    whole = nasty_corpus.render(tmp_path / "a.mp4", "libx264", frames=40)
    nasty_corpus.change(whole, "b.mp4", nasty_corpus._shown)
    info = decode.count(tmp_path / "b.mp4")
    assert (info.declared, info.frames, info.rate) == (15, 15, 25.0)


@pytest.mark.skipif(
    not hasattr(Stream, "index_entries"), reason="this PyAV shows no table of frames"
)
def test_a_varying_rate(tmp_path):
    """The hidden second has 25 frames, the shown one 10."""
    times = [40 * i for i in range(25)] + [1000 + 100 * i for i in range(10)]
    whole = nasty_corpus.render(tmp_path / "a.mp4", "libx264", times=times, frames=35)
    nasty_corpus.copy_from(whole, tmp_path / "b.mp4", 1.0)
    info = decode.count(tmp_path / "b.mp4")
    assert (info.declared, info.frames) == (10, 10)
    assert info.rate == pytest.approx(10)


def test_a_cut_file_is_damaged_even_so(trimmed):
    """Cut behind its index: the edit list promises more than there is."""
    whole, part = trimmed
    first = part.with_name("first.mp4")
    nasty_corpus.copy_from(whole, first, 1.0, movflags="faststart")
    data = first.read_bytes()
    first.write_bytes(data[: -len(data) // 6])
    with pytest.raises(VideoError, match="damaged"):
        decode.count(first)


def test_reordering_alone_hides_nothing(tmp_path):
    """Its edit list takes off the delay of B-frames, and no frame."""
    path = nasty_corpus.render(tmp_path / "a.mp4", "libx264", options={"bf": "2"})
    assert b"elst" in path.read_bytes()
    info = decode.count(path)
    assert (info.declared, info.frames, info.rate) == (24, 24, 25.0)


def test_a_table_of_frames_shorter_than_the_edit_list(tmp_path):
    """Guards against taking a damaged table for frames that are hidden."""
    path = nasty_corpus.render(tmp_path / "a.mp4", "mpeg4", frames=40)
    data = bytearray(path.read_bytes())
    at = data.index(b"stsc") + 16  # frames in the first chunk, which is the only one
    assert int.from_bytes(data[at : at + 4]) == 40
    data[at : at + 4] = (20).to_bytes(4)
    path.write_bytes(data)
    with pytest.raises(VideoError, match="damaged"):
        decode.count(path)
