"""What is kept of damaged videos, and the limits on hostile ones."""

import av
import cv2
import nasty_corpus
import numpy as np
import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.video import container, decode, flow
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.packets import Frames
from stfn_keras.video.prepare import VideoError, prepare_video

KEEP = DecodingConfig(on_damaged="keep")
CONFIG = PreparationConfig(snippets=3, pairs=2)


def refusal(path, decoding=DEFAULT_DECODING) -> VideoError:
    with pytest.raises(VideoError) as caught:
        decode.count(path, decoding)
    return caught.value


def damaged(tmp_path, name, codec="mpeg4", where=0.5, share=0.05):
    """A clip of 40 frames of which a share is zeroed, from some place on."""
    options = {"g": "8"}
    whole = nasty_corpus.render(tmp_path / name, codec, frames=40, options=options)
    length = int(share * whole.stat().st_size)
    nasty_corpus.change(
        whole,
        f"damaged_{name}",
        lambda data: nasty_corpus._filled(data, where, length),
    )
    return tmp_path / f"damaged_{name}"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.ts", "mpeg4")],
)
def test_keep_goes_on_behind_the_damage(tmp_path, name, codec):
    path = damaged(tmp_path, name, codec)
    assert refusal(path).reason == "damaged"
    info = decode.count(path, KEEP)
    assert 20 <= info.frames < 40
    assert info.errors > 0
    # Both passes see the same frames.
    frames = dict(decode.read(path, (48, 64), range(info.frames), KEEP))
    assert list(frames) == list(range(info.frames))
    prepared = prepare_video(path, CONFIG, decoding=KEEP)
    assert prepared == prepare_video(path, CONFIG, decoding=KEEP)
    assert (prepared.frames, prepared.errors) == (info.frames, info.errors)


def test_too_little_is_damaged_even_so(tmp_path):
    path = damaged(tmp_path, "a.avi")
    frames = decode.count(path, KEEP).frames
    least = DecodingConfig(on_damaged="keep", min_fraction=frames / 40)
    assert decode.count(path, least).frames == frames
    more = DecodingConfig(on_damaged="keep", min_fraction=(frames + 1) / 40)
    error = refusal(path, more)
    assert (error.reason, error.declared, error.decoded) == ("damaged", 40, frames)


def test_too_little_of_a_video_that_declares_no_frames(tmp_path):
    """Its duration and rate tell how much is left."""
    path = damaged(tmp_path, "a.ts", "mpeg2video", where=0.1, share=0.7)
    assert refusal(path, KEEP).reason == "damaged"
    little = DecodingConfig(on_damaged="keep", min_fraction=0.01)
    assert decode.count(path, little).frames < 20


def test_a_damaged_video_shorter_than_a_snippet_is_damaged(tmp_path):
    path = damaged(tmp_path, "a.avi")
    long = PreparationConfig(snippets=1, pairs=39)
    with pytest.raises(VideoError, match="damaged"):
        prepare_video(path, long, decoding=KEEP)


def test_keep_changes_nothing_for_sound_videos(tmp_path, render_clip):
    for path in (
        render_clip(tmp_path / "a.avi"),
        nasty_corpus.render(tmp_path / "a.webm", "libvpx"),
    ):
        assert prepare_video(path, CONFIG, decoding=KEEP) == prepare_video(path, CONFIG)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "mpeg4"), ("a.webm", "libvpx")])
def test_a_cut_matroska_file_is_damaged(tmp_path, name, codec):
    """Guards against a loss that no decoder reports: these declare no frames."""
    whole = nasty_corpus.render(tmp_path / name, codec)
    nasty_corpus.change(whole, f"cut_{name}", lambda data: data[: len(data) * 4 // 5])
    error = refusal(tmp_path / f"cut_{name}")
    assert error.reason == "damaged"
    assert 0 < error.decoded < 24
    assert decode.count(tmp_path / f"cut_{name}", KEEP).frames == error.decoded


def test_sound_may_outlast_the_pictures(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        for image in nasty_corpus.pictures(12, (64, 48)):
            file.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        file.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 32000), np.int16), "s16")
        frame.rate, frame.pts = 8000, 0
        file.mux(audio.encode(frame))
        file.mux(audio.encode(None))
    assert decode.count(path).frames == 12
    nasty_corpus.change(path, "b.mkv", lambda data: data[: data.index(b"\xa3", 2000)])
    assert refusal(tmp_path / "b.mkv").reason in ("damaged", "no frames")


def test_a_file_larger_than_allowed_is_not_opened(tmp_path, monkeypatch):
    (tmp_path / "a.avi").write_bytes(bytes(101))
    monkeypatch.setattr(container.av, "open", None)
    error = refusal(tmp_path / "a.avi", DecodingConfig(max_bytes=100))
    assert error.reason == "too large"


@pytest.mark.parametrize(
    "limit", [{"max_pixels": 64 * 48 - 1}, {"max_frames": 23}, {"max_seconds": 0.95}]
)
def test_headers_beyond_a_limit_are_enough(tmp_path, limit):
    path = nasty_corpus.render(tmp_path / "a.avi")
    error = refusal(path, DecodingConfig(**limit))
    assert (error.reason, error.declared, error.decoded) == ("too large", 24, 0)
    just = {name: value + 1 for name, value in limit.items()}
    assert decode.count(path, DecodingConfig(**just)).frames == 24


@pytest.mark.parametrize(
    ("limit", "decoded"), [({"max_frames": 10}, 10), ({"max_seconds": 0.5}, 14)]
)
def test_limits_hold_where_headers_say_nothing(tmp_path, limit, decoded):
    path = nasty_corpus.render(tmp_path / "a.h264", "libx264")
    error = refusal(path, DecodingConfig(**limit))
    assert (error.reason, error.declared, error.decoded) == ("too large", 0, decoded)


def test_frames_larger_than_declared(tmp_path):
    nasty_corpus._two_sizes(tmp_path / "a.avi")
    error = refusal(tmp_path / "a.avi", DecodingConfig(max_pixels=64 * 48))
    assert (error.reason, error.decoded) == ("too large", 12)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = nasty_corpus.render(tmp_path / "a.avi")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(container, "_unblocked", refuse)
    assert refusal(path).reason == "unreadable container"


def test_names_that_no_file_has(tmp_path):
    assert refusal(tmp_path / "a\0b.avi").reason == "missing"


def test_lists_of_other_files_are_not_followed(tmp_path, monkeypatch):
    """Guards against a file that makes FFmpeg open others, or hosts."""
    monkeypatch.chdir(tmp_path)
    nasty_corpus.render(tmp_path / "good.avi")
    lists = {
        "a.ffconcat": "ffconcat version 1.0\nfile good.avi\n",
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.avi\n",
        "a.sdp": "v=0\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        assert refusal(tmp_path / name).reason == "unreadable container"


def no_memory_in_opencv() -> Exception:
    error = cv2.error("OpenCV: Failed to allocate 9999999999 bytes")
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize("error", [MemoryError(), no_memory_in_opencv()])
def test_too_little_memory_is_too_large(tmp_path, monkeypatch, error):
    path = nasty_corpus.render(tmp_path / "a.avi")

    def fail(*_):
        raise error

    monkeypatch.setattr(flow, "compute", fail)
    with pytest.raises(VideoError) as caught:
        prepare_video(path, CONFIG)
    assert (caught.value.reason, caught.value.decoded) == ("too large", 24)


@pytest.mark.parametrize("decoding", [DecodingConfig(), KEEP])
def test_ffmpeg_without_memory(tmp_path, monkeypatch, decoding):
    path = nasty_corpus.render(tmp_path / "a.avi")

    class Packet:
        is_corrupt = False

        def decode(self):
            raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(Frames, "_packets", lambda self: iter([Packet()]))
    assert refusal(path, decoding).reason == "too large"


def test_other_errors_of_opencv_are_not_hidden(tmp_path, monkeypatch):
    path = nasty_corpus.render(tmp_path / "a.avi")
    monkeypatch.setattr(flow, "compute", lambda *_: cv2.resize(np.zeros(0), (1, 1)))
    with pytest.raises(cv2.error):
        prepare_video(path, CONFIG)
