"""Protocols that users write themselves: a folder per class, and a CSV."""

import os
from collections import Counter
from pathlib import Path

import pytest

from stfn_keras.data.inputs import Video, check_groups, list_files, seeded_order
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def classes_of(folder: Path, groups: int = 10, clips: int = 2) -> Path:
    names = [
        f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"
        for label in ("Zoo", "Art")
        for group in range(groups)
        for clip in range(clips)
    ]
    return touch(folder, *names)


def sides(inputs, label: str) -> Counter:
    return Counter(video.roles for video in inputs.videos if video.label == label)


def test_folder_splits_each_class_by_whole_groups(tmp_path):
    inputs = discover("folder", classes_of(tmp_path))
    assert inputs.labels == ("Art", "Zoo")
    for label in inputs.labels:
        assert sides(inputs, label) == {"r": 14, "e": 6}
    by_group: dict[str, set[str]] = {}
    for video in inputs.videos:
        by_group.setdefault(video.group, set()).add(video.roles)
    assert len(by_group) == 20
    assert all(len(roles) == 1 for roles in by_group.values())


def test_folder_split_is_seeded(tmp_path):
    folder = classes_of(tmp_path)
    assert discover("folder", folder) == discover("folder", folder)
    assert (
        discover("folder", folder).videos != discover("folder", folder, seed=1).videos
    )


def test_folder_without_group_names(tmp_path):
    folder = touch(
        tmp_path, *(f"a/{i}.mp4" for i in range(9)), "a/deep/9.mp4", "b/1.mp4"
    )
    inputs = discover("folder", touch(folder, "notes.txt"))
    assert sides(inputs, "a") == {"r": 7, "e": 3}
    assert sides(inputs, "b") == {"r": 1}  # one video cannot be on both sides
    assert inputs.unlisted == ("notes.txt",)


def test_two_videos_are_one_on_each_side(tmp_path):
    inputs = discover("folder", touch(tmp_path, "a/1.mp4", "a/2.mp4"))
    assert sides(inputs, "a") == {"r": 1, "e": 1}


def test_hidden_files_are_nobodys_videos(tmp_path):
    touch(tmp_path, "a/1.avi", "a/.DS_Store", "a/Thumbs.db", ".git/config", "b/2.avi")
    inputs = discover("folder", tmp_path)
    assert inputs.labels == ("a", "b")
    assert inputs.unlisted == (".git/config", "a/.DS_Store", "a/Thumbs.db")


def test_folder_errors(tmp_path):
    with pytest.raises(UserError, match="Received: .*nowhere"):
        discover("folder", tmp_path / "nowhere")
    with pytest.raises(UserError, match="expected videos in .*Received: none"):
        discover("folder", tmp_path)
    with pytest.raises(UserError, match="folder per class"):
        discover("folder", touch(tmp_path, "a.avi"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="every class folder.*empty"):
        discover("folder", touch(tmp_path, "full/a.avi"))
    with pytest.raises(UserError, match="needs --videos"):
        discover("folder")
    with pytest.raises(UserError, match="Received: 'kinetics'"):
        discover("kinetics", tmp_path)


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "splits.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path):
    touch(tmp_path, "z/ü, 1.mp4", "z/2.mp4", "a/3.mp4")
    path = write_csv(
        tmp_path,
        '\ufeffpath,label,split,group\r\n"z/ü, 1.mp4",zoo,train,one\r\n'
        "z/2.mp4,zoo,test,\r\na/3.mp4,art,val,two\r\na/gone.mp4,art,test,three\r\n",
    )
    inputs = discover("csv", csv_file=path)
    assert inputs.labels == ("art", "zoo")
    assert inputs.folder == tmp_path
    # Every row is an input: one that is not there ends in the ledger.
    assert inputs.videos == (
        Video("a/3.mp4", "art", "two", "v"),
        Video("a/gone.mp4", "art", "three", "e"),
        Video("z/2.mp4", "zoo", "z/2.mp4", "e"),
        Video("z/ü, 1.mp4", "zoo", "one", "r"),
    )


def test_csv_segments(tmp_path):
    touch(tmp_path, "1.mp4")
    path = write_csv(
        tmp_path,
        "path,label,split,start,end\n1.mp4,a,train,0,2.5\n1.mp4,b,train,2.5,100.125\n"
        "1.mp4,c,train,,\n",
    )
    videos = discover("csv", csv_file=path).videos
    assert [(v.id, v.file, v.group, v.segment) for v in videos] == [
        ("1.mp4", "1.mp4", "1.mp4", None),
        ("1.mp4#t=0,2.5", "1.mp4", "1.mp4", (0.0, 2.5)),
        ("1.mp4#t=2.5,100.125", "1.mp4", "1.mp4", (2.5, 100.125)),
    ]


def test_csv_elsewhere_than_its_videos(tmp_path):
    touch(tmp_path / "videos", "1.mp4")
    path = write_csv(tmp_path, "path,label,split\n./1.mp4,a,train\n")
    inputs = discover("csv", tmp_path / "videos", csv_file=path)
    assert [video.id for video in inputs.videos] == ["1.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns path, label, split.*Received: none"),
        ("path,label\n1.mp4,a\n", "columns path, label, split"),
        ("path,label,split\n", "a row per video"),
        (
            "path,label,split\n1.mp4,a,training\n",
            "line 2.*train, test, val.*'training'",
        ),
        ("path,label,split\n1.mp4,,train\n", "line 2.*filled"),
        ("path,label,split\n1.mp4\n", "line 2.*filled"),
        ("path,label,split\n/1.mp4,a,train\n", "inside the video folder"),
        ("path,label,split\na/../../1.mp4,a,train\n", "inside the video folder"),
        ("path,label,split\n1.mp4,a,train\n./1.mp4,a,test\n", "line 3.*once"),
        ("path,label,split\n2.mp4,a,train\n", "none of the 1 paths"),
        ('path,label,split\n"1.mp4,a,train\n', "must be CSV"),
        ("path,label,split,start,end\n1.mp4,a,train,2,1\n", "line 2.*start before end"),
        ("path,label,split,start,end\n1.mp4,a,train,x,1\n", "line 2.*'x' and '1'"),
        ("path,label,split,start,end\n1.mp4,a,train,1,\n", "line 2.*both be empty"),
        (
            "path,label,split,start,end\n1.mp4,a,train,0,1\n1.mp4,a,test,1,2\n",
            "group '1.mp4' must be on one side of split 1",
        ),
        (
            "path,label,split,group\n1.mp4,a,train,g\n2.mp4,a,test,g\n",
            "group 'g' must be on one side of split 1.*2.mp4",
        ),
    ],
)
def test_csv_errors(tmp_path, text, message):
    path = write_csv(touch(tmp_path, "1.mp4"), text)
    with pytest.raises(UserError, match=message) as caught:
        discover("csv", csv_file=path)
    assert "\n" not in str(caught.value)


def test_csv_missing_or_not_text(tmp_path):
    with pytest.raises(UserError, match="needs --csv"):
        discover("csv", tmp_path)
    with pytest.raises(UserError, match="nowhere.csv"):
        discover("csv", csv_file=tmp_path / "nowhere.csv")
    (tmp_path / "a.csv").write_bytes(b"path,label,split\n\xff\xfe,a,train\n")
    with pytest.raises(UserError, match="UTF-8"):
        discover("csv", csv_file=tmp_path / "a.csv")


def test_groups_may_be_unused_elsewhere():
    check_groups([Video("a", "x", "g", "rue"), Video("b", "x", "g", "ure")])
    with pytest.raises(UserError, match="split 3"):
        check_groups([Video("a", "x", "g", "rue"), Video("b", "x", "g", "urv")])


def test_links_are_followed_once(tmp_path):
    touch(tmp_path / "far", "a.avi")
    touch(tmp_path / "near", "b.avi")
    os.symlink(tmp_path / "far", tmp_path / "near" / "linked")
    os.symlink(tmp_path / "near", tmp_path / "far" / "loop")
    os.symlink(tmp_path / "gone", tmp_path / "near" / "broken.avi")
    # A link that leads nowhere is an input too: the ledger calls it missing.
    assert list_files(tmp_path / "near") == ["b.avi", "broken.avi", "linked/a.avi"]


def test_no_link_takes_a_folders_place(tmp_path):
    """Whatever the order in which folders are visited."""
    touch(tmp_path, "Run/1.avi", "Walk/1.avi", "Abseil/1.avi")
    os.symlink("../Run", tmp_path / "Abseil" / "loop")
    os.symlink("Walk", tmp_path / "Aaa")
    assert list_files(tmp_path) == ["Abseil/1.avi", "Run/1.avi", "Walk/1.avi"]


def test_frame_folders(tmp_path):
    touch(tmp_path, "a/v_1/img_00001.jpg", "a/v_1/flow_x_00001.jpg", "a/notes.txt")
    touch(tmp_path, "b/deep/v_2/img_1.png", "b/empty/flow_x_00001.jpg")
    # A folder that lost its frames is an input still: the ledger says so.
    assert list_files(tmp_path, frames=True) == ["a/v_1", "b/deep/v_2", "b/empty"]
    inputs = discover("folder", tmp_path, frames=True)
    assert [(v.id, v.label) for v in inputs.videos] == [
        ("a/v_1", "a"),
        ("b/deep/v_2", "b"),
        ("b/empty", "b"),
    ]
    with pytest.raises(UserError, match="folders of extracted frames"):
        list_files(touch(tmp_path / "none", "a/x.avi"), frames=True)


def test_a_folder_that_grows_keeps_its_split(tmp_path):
    names = [f"a/v_g{group:02d}_c{clip}.avi" for group in range(10) for clip in (1, 2)]
    before = discover("folder", touch(tmp_path, *names)).videos
    known = {video.group: video.roles for video in before}
    touch(tmp_path, *(f"a/v_g{group:02d}_c1.avi" for group in range(10, 20)))
    after = discover("folder", tmp_path, known=known).videos
    assert {v.id: v.roles for v in before}.items() <= {
        v.id: v.roles for v in after
    }.items()
    tested = sum(video.roles == "e" for video in after)
    assert tested == round(0.3 * len(after))


def test_seeded_order_is_stable_when_names_are_added():
    names = [f"{i}.avi" for i in range(20)]
    order = seeded_order(names, 0)
    assert order != names
    assert [n for n in seeded_order([*names, "new.avi"], 0) if n in names] == order


@pytest.mark.real
def test_real_csv(real_data):
    inputs = discover("csv", csv_file=real_data / "WLASL-10/splits.csv")
    assert len(inputs.labels) == 10
    assert Counter(v.roles for v in inputs.videos) == {"r": 200, "v": 45, "e": 35}
