"""Streams: the same scores as the whole network, drops under load, what is written."""

import itertools
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from parsed import call
from small_clips import SIZE

from stfn_keras.commands import live
from stfn_keras.errors import UserError
from stfn_keras.serving import playing, stream
from stfn_keras.serving.overlay import Overlay
from stfn_keras.serving.playing import play, record, watch
from stfn_keras.serving.sliding import Scored, SlidingNetwork
from stfn_keras.serving.stream import Cutter, StreamConfig, recognise
from stfn_keras.video import decode
from stfn_keras.video.prepare import prepare_video

FAST = StreamConfig(every=0.4, realtime=False)


def ignore(*_):
    return True


@pytest.fixture(scope="module")
def network(small_stfn):
    return SlidingNetwork(small_stfn)


@pytest.mark.parametrize("kind", ["small_stfn", "small_spatial", "small_temporal"])
def test_features_and_fuse_are_the_whole_network(kind, small_clip, request):
    network = SlidingNetwork(request.getfixturevalue(kind))
    frames = [frame for _, frame in play(small_clip)]
    snippets = [frames[n : n + network.reach] for n in range(0, 50, 10)]
    views = [network.view(snippet) for snippet in snippets]
    for count, view in enumerate(views, 1):
        network.add(view)
        last = [*[views[0]] * 3, *views[:count]][-3:]  # the first stands for missing
        whole = {s: np.stack([v[s] for v in last], axis=1) for s in view}
        expected = network.runtime.predict(whole)["scores"][0]
        np.testing.assert_allclose(network.scored().scores, expected, atol=1e-5)


def test_a_segment_is_prepared_as_datasets_are(network, small_clip):
    config = network.preparer.preparation
    frames = [frame for _, frame in play(small_clip)]
    prepared = prepare_video(small_clip, config, select=[3])
    (start,) = prepared.positions
    snippet = frames[start : start + network.reach]
    made = network.preparer.prepare_snippet(snippet)
    assert (made.rgb, made.flow) == (prepared.rgb, prepared.flow)


def test_every_segment_of_a_file_is_scored_and_the_same_each_time(network, small_clip):
    runs = []
    for _ in range(2):
        seen = []
        report = recognise(
            play(small_clip), network, FAST,
            lambda _, seconds, newest, __, seen=seen: seen.append((seconds, newest))
            or True,
        )  # fmt: skip
        assert (report.frames, report.late, report.dropped) == (90, 0, 0)
        assert report.updates == 9
        runs.append([(s, None if n is None else n.scores.tolist()) for s, n in seen])
    assert runs[0] == runs[1]
    assert runs[0][1][1] is None and runs[0][2][1] is not None  # from 3 frames on


def test_snippets_are_the_newest_frames_at_even_times():
    cutter = Cutter(every=1.0, reach=3)
    cut = []
    for number in itertools.chain(range(25), range(60, 80)):  # a gap of 3.5 seconds
        snippet = cutter.add(number / 10, np.full(1, number))
        if snippet:
            cut.append([int(frame[0]) for frame in snippet])
    assert cut == [[0, 1, 2], [8, 9, 10], [18, 19, 20], [23, 24, 60], [68, 69, 70]]


class Slow:
    """A network that waits until it is let go on."""

    reach = 1

    def __init__(self):
        self.go, self.taken = threading.Semaphore(0), []

    def warm_up(self):
        pass

    def update(self, snippet):
        assert self.go.acquire(timeout=30)
        self.taken.append(int(snippet[0][0]))
        return Scored(("a",), np.ones(1, np.float32))


def test_under_load_the_oldest_waiting_segment_is_dropped():
    slow = Slow()
    frames = ((number / 10, np.full(1, number)) for number in range(20))

    def show(frame, *_):
        if frame[0] in (4, 12):
            slow.go.release(1)
            # The stream does not wait; only this test does.
            while len(slow.taken) < (1 if frame[0] == 4 else 2):
                time.sleep(0.001)
        if frame[0] == 19:
            slow.go.release(9)
        return True

    config = StreamConfig(every=0.1, speed=0.0)
    report = recognise(frames, slow, config, show)
    assert slow.taken[0] == 0
    assert slow.taken[1] >= 4 and slow.taken[2] >= 12  # the newest, not the oldest
    assert report.updates == len(slow.taken) == 3
    assert report.dropped >= 20 - 3 - 2


def test_a_fault_of_the_network_ends_the_stream(network):
    small = ((n / 25, np.zeros((8, 8, 3), np.uint8)) for n in range(20))
    report = recognise(small, network, FAST, ignore)
    assert "cannot be used: too small" in report.fault


def test_a_late_frame_is_not_shown(network, small_clip, monkeypatch):
    now = itertools.count(0.0, 1.0)  # a second passes at every look at the clock
    monkeypatch.setattr(stream.time, "monotonic", lambda: next(now))
    shown = []
    config = StreamConfig(every=100.0, seconds=1.0)
    report = recognise(
        play(small_clip), network, config, lambda *_: shown.append(1) or True
    )
    assert report.frames == 25 and report.late == 25 - len(shown) == 22


def test_a_stream_that_breaks_off_says_why(network):
    def broken():
        yield 0.0, np.zeros((40, 56, 3), np.uint8)
        raise UserError("the camera is gone")

    report = recognise(broken(), network, FAST, ignore)
    assert (report.frames, report.fault) == (1, "the camera is gone")
    with pytest.raises(UserError, match="no such file"):
        recognise(play("nowhere.avi"), network, FAST, ignore)


def test_ctrl_c_ends_a_stream(network, small_clip):
    def stop(*_):
        raise KeyboardInterrupt

    assert recognise(play(small_clip), network, FAST, stop).frames == 1


def test_played_frames_and_times_are_those_of_the_file(small_clip):
    played = list(play(small_clip))
    read = decode.read(small_clip, SIZE, range(90))
    for (seconds, frame), (index, expected) in zip(played, read, strict=True):
        assert seconds == pytest.approx(index / 25)
        np.testing.assert_array_equal(frame, expected)


class Camera:
    """What OpenCV's `VideoCapture` is like."""

    def __init__(self, number):
        self.left = 12 if number == 0 else 0

    def isOpened(self):  # noqa: N802
        return self.left > 0

    def read(self):
        self.left -= 1
        blue = np.zeros((40, 56, 3), np.uint8)
        blue[..., 0] = 255
        return self.left >= 0, blue

    def release(self):
        self.left = 0


def test_a_camera(tmp_path, monkeypatch):
    monkeypatch.setattr(playing.cv2, "VideoCapture", Camera)
    now = itertools.count(7.0, 0.125)
    monkeypatch.setattr(playing.time, "monotonic", lambda: next(now))
    record(0, 0.5, tmp_path / "half.mkv")
    half = list(play(tmp_path / "half.mkv"))
    assert [seconds for seconds, _ in half] == pytest.approx(np.arange(5) / 8)
    assert half[0][1][0, 0].tolist() == [0, 0, 255]  # RGB
    with pytest.raises(UserError, match="camera:0 gives no more frames"):
        list(watch(0))
    with pytest.raises(UserError, match="camera:5, which cannot be opened"):
        next(watch(5))


def test_an_overlay_covers_a_corner_and_nothing_else():
    frame = np.full((120, 400, 3), 200, np.uint8)
    drawn = Overlay(120).draw(frame, [("wälk", 0.9), ("b", 0.1)], "note")
    assert (drawn[:10, :10] < 200).any() and (drawn[70:] == 200).all()
    assert (frame == 200).all()
    np.testing.assert_array_equal(Overlay(120).draw(frame, []), frame)


@pytest.fixture
def command(small_stfn, capsys):
    def run(*given, error=""):
        call(live, f"--model={small_stfn}", *given, error=error)
        return capsys.readouterr()

    return run


def test_the_command_writes_what_it_shows(command, small_clip, tmp_path):
    out = tmp_path / "live.mp4"
    given = (f"--source={small_clip}", "--headless", f"--out={out}", "--norealtime")
    said = command(*given, "--every=0.4")
    assert "90 frames (0 late), 9 updates" in said.err
    assert said.out.split()[1] == "s"  # 0.08 s  0.4321  fall
    info = decode.count(out)
    assert (info.frames, info.height, info.width) == (90, *SIZE)
    command(*given, error="--out must be a new file")


def test_what_was_written_of_a_broken_stream_is_kept(
    command, small_clip, tmp_path, monkeypatch
):
    def broken(path, _):
        yield from itertools.islice(play(path), 20)
        raise UserError("damaged from here on")

    monkeypatch.setattr(playing, "play", broken)
    out = tmp_path / "live.mp4"
    given = (f"--source={small_clip}", "--headless", f"--out={out}", "--norealtime")
    command(*given, error="damaged from here on")
    assert decode.count(out).frames == 20


def test_flags_that_are_refused(command, small_clip, tmp_path, monkeypatch):
    source = f"--source={small_clip}"
    command(source, "--every=0", error="--every above 0")
    command(source, "--speed=0", error="--speed must be above 0")
    command(source, "--out=x.gif", error="--out must be a video file ending in")
    command("--source=camera:0", "--norealtime", error="in real time")
    monkeypatch.delenv("DISPLAY", raising=False)
    command(source, error="expected a screen")


def test_an_export_without_the_signatures_is_refused(small_stfn, monkeypatch):
    loaded = tf.saved_model.load(str(small_stfn))

    class Old:
        signatures = {"serving_default": loaded.signatures["serving_default"]}

        def __init__(self, *_, **__):
            pass

    monkeypatch.setattr("stfn_keras.serving.sliding.SavedModelRuntime", Old)
    with pytest.raises(UserError, match="has serving_default: export it again"):
        SlidingNetwork(small_stfn)
