"""The client's command: good videos are answered beside bad ones, which fail it."""

import json
import subprocess
import sys

from parsed import call

from stfn_keras.commands import client


def test_a_bad_video_is_told_and_the_rest_go_on(
    over_rest, small_stfn, small_clip, tmp_path
):
    (tmp_path / "text.avi").write_text("no video")
    command = [
        sys.executable, "-m", "stfn_keras.serving.client",
        f"--server={over_rest[0]}", f"--config={small_stfn}/assets.extra/config.json",
        "--json", "--top=2", str(tmp_path / "text.avi"), str(small_clip),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1
    (answer,) = map(json.loads, found.stdout.splitlines())
    assert answer["video"] == str(small_clip)
    first, second = (entry["score"] for entry in answer["top"])
    assert 1 >= first >= second >= 0
    assert "text.avi cannot be used: unreadable" in found.stderr
    assert "error: 1 of 2 videos could not be predicted" in found.stderr
    assert "Traceback" not in found.stderr


def test_nobody_there_is_one_line(small_stfn, small_clip):
    command = [
        sys.executable, "-m", "stfn_keras.serving.client", "--server=http://127.0.0.1:1",
        f"--config={small_stfn}/assets.extra/config.json", "--retries=0",
        str(small_clip), "another.avi",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1
    assert "another.avi" not in found.stderr  # it would not be answered either
    assert "clip.mkv: the server cannot be reached" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_folder_of_videos_is_refused_by_what_the_client_takes(
    small_stfn, tmp_path, capsys
):
    (tmp_path / "clip.avi").write_bytes(b"")
    call(
        client, "--server=http://127.0.0.1:1", f"--config={small_stfn}", tmp_path,
        error="1 of 1 videos",
    )  # fmt: skip
    told = "the client takes video files and frame folders. Received: the folder"
    assert told in capsys.readouterr().err
