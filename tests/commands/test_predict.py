"""The command: lines, files, bad videos among good ones, windows, drawn videos."""

import csv
import io
import json
import os
import re
import sys

import av
import numpy as np
import pytest
from parsed import call
from small_clips import SIZE, write_clip

from stfn_keras.commands import predict
from stfn_keras.errors import UserError
from stfn_keras.video import decode


@pytest.fixture
def command(small_stfn, tmp_path, capsys):
    """Runs the command with flags and names; gives what it printed."""

    def run(*names, error=""):
        ours = [f"--model={small_stfn}", f"--out={tmp_path / 'out'}"]
        call(predict, *ours, *names, error=error)
        return capsys.readouterr()

    return run


def test_bad_videos_are_reported_and_the_rest_go_on(command, small_clip, tmp_path):
    (tmp_path / "text.avi").write_text("no video")
    said = command(
        tmp_path / "text.avi", small_clip, tmp_path / "nowhere.avi",
        tmp_path / "*.mp4", error="3 of 4 videos could not be predicted",
    )  # fmt: skip
    assert "text.avi cannot be used: unreadable container" in said.err
    assert "nowhere.avi cannot be used: no such file\n" in said.err
    assert "*.mp4 cannot be used: no file matches\n" in said.err
    assert said.out.startswith(f"{small_clip}\n")
    found = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert list(found) == ["video", "model", "top", "scores", "files"]
    assert found["files"] == [".json", ".png"]
    assert (tmp_path / "out" / "clip.png").stat().st_size > 1000
    assert not list((tmp_path / "out").glob("*.partial*"))


def test_a_folder_without_videos_says_so(command, tmp_path):
    (tmp_path / "empty").mkdir()
    said = command(tmp_path / "empty", error="1 of 1 videos")
    told = "empty cannot be used: no video and no frame folder in it\n"
    assert said.err.endswith(told)


def test_a_damaged_video_names_the_flag_that_takes_more_of_it(command, tmp_path):
    damaged = tmp_path / "damaged.avi"
    write_clip(damaged, 60)
    frame = damaged.read_bytes()
    damaged.write_bytes(frame[: len(frame) * 3 // 10])
    said = command(damaged, error="1 of 1 videos")
    assert re.search(
        r"damaged \(\d+ of \d+ declared frames decoded; --on_damaged=keep takes",
        said.err,
    )
    said = command(damaged, "--on_damaged=keep", error="1 of 1 videos")
    assert re.search(
        r"damaged \(\d+ of \d+ declared frames decoded; --min_fraction is 0\.5\)",
        said.err,
    )
    command(damaged, "--on_damaged=keep", "--min_fraction=0.001")


def test_a_version_that_is_not_there_is_told_with_those_that_are(small_stfn, tmp_path):
    video = tmp_path / "clip.avi"
    for model, told in (
        (tmp_path / "nowhere", "nowhere, which does not exist$"),
        (small_stfn.parent / "7", r"stfn/7, which does not exist; .*/stfn holds 1$"),
        (tmp_path, "which holds no version$"),
    ):
        call(predict, f"--model={model}", video, error=told)


def test_lines_for_programs(command, small_clip):
    (line,) = command(small_clip, "--format=jsonl").out.splitlines()
    assert command(small_clip, "--json").out.splitlines() == [line]
    found = json.loads(line)
    rows = list(csv.DictReader(io.StringIO(command(small_clip, "--format=csv").out)))
    assert [(r["label"], float(r["score"])) for r in rows] == [
        (best["label"], pytest.approx(best["score"], abs=1e-6)) for best in found["top"]
    ]
    assert rows[0]["video"] == str(small_clip) and rows[0]["start"] == ""


def test_names_from_standard_input_and_a_folder(
    command, tmp_path, monkeypatch, small_clip
):
    for name in ("a/clip.mkv", "b/clip.mkv"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).write_bytes(small_clip.read_bytes())
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path / 'in'}\n"))
    command("-")
    assert (tmp_path / "out" / "a" / "clip.json").is_file()
    assert (tmp_path / "out" / "b" / "clip.json").is_file()


def test_windows_as_lines_csv_and_webvtt(command, small_clip, tmp_path):
    said = command(small_clip, "--window=1.2", "--stride=0.9", "--format=jsonl")
    windows = [json.loads(line) for line in said.out.splitlines()]
    times = [(0.0, 1.2), (0.9, 2.1), (1.8, 3.0), (2.7, 3.6)]
    assert [(w["start"], w["end"]) for w in windows] == [
        pytest.approx(t) for t in times
    ]
    with (tmp_path / "out" / "clip.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [r["label"] for r in rows if r["rank"] == "1"] == [
        w["top"][0]["label"] for w in windows
    ]
    cues = (tmp_path / "out" / "clip.vtt").read_text(encoding="utf-8").split("\n\n")
    assert cues[0] == "WEBVTT"
    best = windows[1]["top"][0]
    assert cues[2] == (
        f"00:00:00.900 --> 00:00:01.800\n{best['label']} {best['score']:.2f}"
    )
    assert cues[4].startswith("00:00:02.700 --> 00:00:03.600\n")
    found = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert found["windows"] == {"length": 1.2, "stride": 0.9, "count": 4}
    mean = np.mean([list(w["scores"].values()) for w in windows], axis=0)
    np.testing.assert_allclose(list(found["scores"].values()), mean, atol=1e-6)


def test_windows_are_told_where_they_were_written(command, small_clip, tmp_path):
    lines = command(small_clip, "--window=2").out.splitlines()
    assert lines[-1] == f"  windows: {tmp_path / 'out' / 'clip.csv'}, .vtt"


def test_a_users_video_is_never_written_over(command, small_clip, tmp_path):
    out = tmp_path / "out"
    command(small_clip)  # makes clip.json
    mine = out / "clip.mp4"
    mine.write_bytes(small_clip.read_bytes())
    command(mine, "--draw", error="takes the place of a video that is predicted")
    command(small_clip, "--draw", error="no predictions of ours")
    assert mine.read_bytes() == small_clip.read_bytes()


def test_files_of_another_kind_of_prediction_go(command, small_clip, tmp_path):
    out = tmp_path / "out"
    for flags, files in (
        (["--window=2"], {"clip.json", "clip.csv", "clip.vtt"}),
        ([], {"clip.json", "clip.png"}),
        (["--window=2"], {"clip.json", "clip.csv", "clip.vtt"}),
    ):
        command(small_clip, *flags)
        assert {path.name for path in out.iterdir()} == files


def test_a_killed_prediction_can_be_made_again(command, small_clip, monkeypatch):
    """However far it came, the next one knows what it left."""

    def killed(*_):
        raise KeyboardInterrupt

    for name, flags in (("draw_sheet", []), ("write_json", ["--window=2"])):
        with monkeypatch.context() as patch:
            patch.setattr(f"stfn_keras.serving.results.{name}", killed)
            with pytest.raises(KeyboardInterrupt):
                command(small_clip, *flags)
        command(small_clip, *flags)


def test_a_video_that_cannot_be_drawn_is_not_recorded(
    command, small_clip, tmp_path, monkeypatch
):
    def fails(*_):
        raise UserError("no room")

    monkeypatch.setattr("stfn_keras.serving.drawing.draw_video", fails)
    command(small_clip, "--draw", error="1 of 1 videos")
    found = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert found["files"] == [".json", ".png"]


def test_a_name_that_is_no_text_is_shown(command, small_clip, tmp_path, monkeypatch):
    video = tmp_path / os.fsdecode(b"caf\xe9.avi")
    video.write_bytes(small_clip.read_bytes())
    listed = io.TextIOWrapper(io.BytesIO(os.fsencode(video) + b"\n"), "utf-8")
    monkeypatch.setattr(sys, "stdin", listed)
    said = command("-").out
    assert said.startswith(f"{tmp_path}/caf\\xe9.avi\n")
    for form in ("csv", "jsonl"):
        assert "caf\\" in command(video, f"--format={form}").out
    command(video, "--window=2")
    (found,) = (tmp_path / "out").glob("*.json")
    assert json.loads(found.read_text())["video"] == f"{tmp_path}/caf\\xe9.avi"


def test_a_drawn_video_has_every_frame_at_its_time(command, small_clip, tmp_path):
    command(small_clip, "--draw")
    drawn = tmp_path / "out" / "clip.mp4"
    before, after = decode.count(small_clip), decode.count(drawn)
    assert after.frames == before.frames and after.seconds is None
    assert (after.height, after.width) == SIZE
    with av.open(str(drawn)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(90) / 25, atol=1e-3)


def test_a_camera_is_recorded_and_predicted(command, tmp_path, monkeypatch):
    def record(number, seconds, path):
        assert (number, seconds) == (3, 2.0)
        write_clip(path, 30)

    monkeypatch.setattr("stfn_keras.serving.playing.record", record)
    command("camera:3", "--seconds=2")
    found = json.loads((tmp_path / "out" / "camera-3.json").read_text())
    assert found["video"] == "camera:3"


def test_a_server_that_is_gone_ends_the_command(command, small_clip, monkeypatch):
    from stfn_keras.serving.client.transport import Unavailable

    def gone(*_):
        raise Unavailable("the server cannot be reached")

    monkeypatch.setattr("stfn_keras.serving.predictor.Predictor.predict", gone)
    said = command(small_clip, "another.avi", error="clip.mkv: the server cannot be")
    assert "another.avi" not in said.err


def test_flags_that_do_not_go_together(command, small_clip):
    command(small_clip, "--stride=1", error="--stride needs --window")
    command(small_clip, "--runtime=remote", error="belong together")
    command(small_clip, "--server=localhost:8500", error="belong together")
    for flag in ("name", "model_version", "timeout"):
        told = f"--{flag} is for --runtime=remote alone"
        command(small_clip, f"--{flag}=7", error=told)
    command(small_clip, "--model_version=7", error=": use --model .*/stfn/7$")
    command(small_clip, "--runtime=magic", error="a format must be one of")
    command(error="name at least one video")
