"""What a name on the command line stands for, and what its results are called."""

import pytest

from stfn_keras.serving.sources import find_sources

FILES = (
    "a/clip.avi", "b/clip.avi", "b/clip.mp4", "c/deep/Film.MKV", "c/notes.txt",
    "one.avi", "odd[1].avi", "frames/img_00001.jpg", "many/x/img_00001.png",
    "many/x/flow_x_00001.png", "frames/img_00002.jpg", "many/x/img_00002.png",
    "thumbs/1.avi", "thumbs/1.png", "thumbs/2.png", "single/1.png", "single/d/2.avi",
)  # fmt: skip


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)


def found(*names, lines=()):
    return {s.path.as_posix(): s.name for s in find_sources(names, lines)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["one.avi"], {"one.avi": "one"}),
        (["nowhere.avi"], {"nowhere.avi": "nowhere"}),
        (["odd[1].avi"], {"odd[1].avi": "odd[1]"}),  # a file is no pattern
        (["c"], {"c/deep/Film.MKV": "deep/Film"}),
        (["frames"], {"frames": "frames"}),
        (["many"], {"many/x": "x"}),
        (["thumbs"], {"thumbs/1.avi": "1"}),  # images beside videos are no frames
        (["single"], {"single/d/2.avi": "d/2"}),  # nor is a single one
        (["*.avi"], {"odd[1].avi": "odd[1]", "one.avi": "one"}),
        (["c/**/*.MKV"], {"c/deep/Film.MKV": "Film"}),
        (["*.zip"], {"*.zip": "*"}),
        (["camera:1"], {"camera:1": "camera-1"}),
        (["camera:x"], {"camera:x": "camera:x"}),
        (["one.avi", "./one.avi", "a/../one.avi"], {"one.avi": "one"}),
    ],
)
def test_a_name_stands_for(names, expected):
    assert found(*names) == expected


def test_names_that_would_collide_are_told_apart_by_folder_then_by_suffix():
    assert found("a/clip.avi", "b/clip.avi") == {
        "a/clip.avi": "a/clip",
        "b/clip.avi": "b/clip",
    }
    assert found("a/clip.avi", "b/clip.avi", "b/clip.mp4", "one.avi") == {
        "a/clip.avi": "a/clip",
        "b/clip.avi": "b/clip.avi",
        "b/clip.mp4": "b/clip.mp4",
        "one.avi": "one",
    }


def test_a_whole_tree_has_a_name_for_each():
    names = found(".")
    assert len(names) == len(set(names.values())) == 10
    assert names["many/x"] == "many/x"
    assert not any(name.startswith(("/", "..")) for name in names.values())


def test_a_list_holds_names_and_no_patterns():
    lines = ["one.avi\n", "\n", "c\r\n", "*.avi\n"]
    assert found("-", lines=lines) == {
        "one.avi": "one",
        "c/deep/Film.MKV": "deep/Film",
        "*.avi": "*",
    }


def test_a_camera_has_a_number():
    assert find_sources(["camera:12"])[0].camera == 12
    assert find_sources(["one.avi"])[0].camera is None
