"""Which files a prediction may write over or remove."""

import json

import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.claims import Claim, endings, identities


def recorded(folder, files):
    """The JSON of an earlier prediction, which wrote these endings."""
    found = {"video": "clip.avi", "model": "models/stfn/1", "top": [], "files": files}
    if files is None:
        del found["files"]
    (folder / "clip.json").write_text(json.dumps(found))


def test_files_of_others_are_not_written_over(tmp_path):
    Claim(tmp_path / "clip", endings(False, True))
    (tmp_path / "clip.mp4").write_text("mine")
    Claim(tmp_path / "clip", endings(False, False))  # it is not in the way
    with pytest.raises(UserError, match=r"no predictions of ours: .*clip\.mp4"):
        Claim(tmp_path / "clip", endings(False, True))
    recorded(tmp_path, [".png"])  # a prediction of ours without a drawn video
    with pytest.raises(UserError, match=r"no predictions of ours: .*clip\.mp4"):
        Claim(tmp_path / "clip", endings(False, True))
    recorded(tmp_path, [".mp4"])
    Claim(tmp_path / "clip", endings(False, True))
    recorded(tmp_path, None)  # written before the JSON said what lies beside it
    (tmp_path / "clip.png").write_text("ours")
    (tmp_path / "clip.csv").write_text("mine")
    Claim(tmp_path / "clip", endings(False, False))
    with pytest.raises(UserError, match=r"no predictions of ours: .*clip\.csv"):
        Claim(tmp_path / "clip", endings(True, False))
    (tmp_path / "clip.json").write_text("{}")
    with pytest.raises(UserError, match=r"no predictions of ours: .*clip\.json"):
        Claim(tmp_path / "clip", endings(False, False))


def test_a_video_that_is_predicted_is_no_place_for_results(tmp_path):
    (tmp_path / "clip.mp4").write_text("a video")
    (tmp_path / "link.avi").hardlink_to(tmp_path / "clip.mp4")
    recorded(tmp_path, [".png", ".mp4"])  # ours, but to be predicted now
    for name in ("clip.mp4", "link.avi"):
        sources = identities([tmp_path / name])
        for draw in (True, False):  # to write over, or to remove
            with pytest.raises(UserError, match="takes the place of a video"):
                Claim(tmp_path / "clip", endings(False, draw), sources)


def test_a_video_named_as_an_unfinished_file_is_kept(tmp_path):
    (tmp_path / "clip.partial.mp4").write_text("a video")
    sources = identities([tmp_path / "clip.partial.mp4"])
    with pytest.raises(UserError, match="takes the place of a video"):
        Claim(tmp_path / "clip", endings(False, True), sources)


def test_only_recorded_files_are_removed(tmp_path):
    for ending in (".png", ".csv", ".vtt", ".mp4", ".txt"):
        (tmp_path / f"clip{ending}").write_text("x")
    recorded(tmp_path, [".csv", ".vtt", ".txt"])
    (tmp_path / "clip.png").unlink()
    Claim(tmp_path / "clip", endings(False, False)).clear()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"clip.json", "clip.mp4", "clip.txt"}
