"""Every kind of bad file is told apart, and good ones are read in order."""

import pickle
import struct
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from stfn_keras.video import decode
from stfn_keras.video.decode import VideoError, VideoInfo


def reason_of(path: Path) -> VideoError:
    with pytest.raises(VideoError) as caught:
        decode.count(path)
    return caught.value


def altered(source: Path, target: Path, change) -> Path:
    target.write_bytes(change(bytearray(source.read_bytes())))
    return target


def zeroed(data: bytearray) -> bytearray:
    """Zero a sector, as a bad disk does; H.264 hides much smaller holes."""
    start = len(data) // 2
    data[start : start + 512] = bytes(512)
    return data


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", "avi"), ("libx264", "mp4")])
def test_counts_what_is_there(tmp_path, render_clip, codec, suffix):
    path = render_clip(tmp_path / f"a.{suffix}", frames=30, codec=codec)
    assert decode.count(path) == VideoInfo(30, 30, 25.0, 48, 64)


def test_reads_only_wanted_frames_in_order(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi")
    every = dict(decode.read(path, (48, 64), range(30)))
    some = dict(decode.read(path, (48, 64), {29, 3, 11}))
    assert list(some) == [3, 11, 29]
    for index, frame in some.items():
        assert frame.dtype == np.uint8
        np.testing.assert_array_equal(frame, every[index])
    # The texture moves by 2 pixels a frame.
    difference = np.abs(every[4][:, :-2].astype(int) - every[3][:, 2:])
    assert difference.mean() < 8 < np.abs(every[4].astype(int) - every[3]).mean()


def test_colours_keep_their_order(tmp_path):
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 32))
    for _ in range(3):
        writer.write(np.full((32, 32, 3), (0, 0, 255), np.uint8))  # OpenCV: BGR
    writer.release()
    (_, frame), *_ = decode.read(path, (32, 32), {0})
    red, green, blue = frame.mean((0, 1))
    assert red > 240
    assert max(green, blue) < 15


def test_missing_empty_and_unreadable(tmp_path):
    empty, text = tmp_path / "empty.avi", tmp_path / "text.avi"
    empty.write_bytes(b"")
    text.write_bytes(b"not a video\n" * 100)
    assert reason_of(tmp_path / "none.avi").reason == "missing"
    assert reason_of(empty).reason == "empty"
    assert reason_of(text).reason == "unreadable container"
    assert reason_of(tmp_path).reason == "not a file"


def test_sound_alone_is_no_video_stream(tmp_path):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    assert reason_of(path).reason == "no video stream"


def test_a_header_without_frames(tmp_path, render_clip):
    path = altered(
        render_clip(tmp_path / "a.avi"),
        tmp_path / "cut.avi",
        lambda data: data[: data.index(b"movi") + 4],
    )
    assert reason_of(path).reason == "no frames"


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [("mpeg4", "avi", {}), ("libx264", "mp4", {"movflags": "faststart"})],
)
@pytest.mark.parametrize("change", [zeroed, lambda data: data[: len(data) // 2]])
def test_cut_and_zeroed_files_are_damaged(
    tmp_path, render_clip, codec, suffix, options, change
):
    whole = render_clip(tmp_path / f"a.{suffix}", codec=codec, **options)
    error = reason_of(altered(whole, tmp_path / f"b.{suffix}", change))
    assert error.reason == "damaged"
    assert error.declared == 30
    assert error.decoded < 30


def test_cut_between_two_frames_is_damaged(tmp_path, render_clip):
    """Guards against a file cut where no decoder notices."""
    whole = render_clip(tmp_path / "a.avi")
    cut = altered(
        whole,
        tmp_path / "b.avi",
        lambda data: data[: data.index(b"00dc", len(data) // 2)],
    )
    error = reason_of(cut)
    assert error.reason == "damaged"
    assert 5 < error.decoded < 25


def test_mp4_without_its_index_is_unreadable(tmp_path, render_clip):
    whole = render_clip(tmp_path / "a.mp4", codec="libx264")
    cut = altered(whole, tmp_path / "b.mp4", lambda data: data[: len(data) // 2])
    assert reason_of(cut).reason == "unreadable container"


def test_a_change_of_size(tmp_path, render_clip):
    parts = [
        render_clip(tmp_path / f"{width}.h264", size=(width, 48), codec="libx264")
        for width in (64, 96)
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    error = reason_of(both)
    assert error.reason == "size change"
    assert error.decoded == 30


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (1, 0, 0, 1)]
)
def test_rotation_is_applied(tmp_path, render_clip, matrix):
    """A phone's upright video is stored lying; OpenCV turns it, so it is the judge."""
    path = render_clip(tmp_path / "a.mp4", codec="libx264", frames=3)
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    capture = cv2.VideoCapture(str(path))
    _, expected = capture.read()
    info = decode.count(path)
    assert (info.height, info.width) == expected.shape[:2]
    (_, frame), *_ = decode.read(path, (info.height, info.width), {0})
    difference = np.abs(frame[..., ::-1].astype(int) - expected)
    assert difference.mean() < 3


@pytest.mark.parametrize("name", ["a'; touch b; '.avi", "ü %03d\n.avi", "http:x.avi"])
def test_names_are_only_names(tmp_path, render_clip, name):
    path = tmp_path / name
    render_clip(tmp_path / "plain.avi", frames=3).rename(path)
    assert decode.count(path).frames == 3


def test_damage_after_the_count_is_seen(tmp_path, render_clip):
    path = render_clip(tmp_path / "a.avi", frames=10)
    with pytest.raises(VideoError, match="damaged"):
        list(decode.read(path, (48, 64), {10}))


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (240, 320, "256", (240, 320)),
        (480, 640, "256", (256, 341)),
        (1920, 1080, "256", (455, 256)),
        (240, 320, "340x256", (256, 340)),
        (256, 256, "256", (256, 256)),
    ],
)
def test_stored_size(height, width, size, expected):
    assert decode.stored_size(VideoInfo(0, 1, 25.0, height, width), size) == expected


def test_resize_averages_areas():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2, ::2] = 200
    assert (decode.resize(image, (2, 2)) == 50).all()
    assert decode.resize(image, (4, 4)) is image
    assert decode.resize(image, (8, 2)).shape == (8, 2, 3)


def test_video_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(VideoError("damaged", 30, 12)))  # noqa: S301
    assert (error.reason, error.declared, error.decoded) == ("damaged", 30, 12)
