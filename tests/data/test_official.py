"""The official lists of UCF101 and HMDB51, with all their traps."""

from collections import Counter
from pathlib import Path

import pytest

from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError

LISTS = {
    "classInd.txt": "1 Zoo\r\n2 HandstandPushups\r\n3 Absent\r\n",
    "trainlist01.txt": "Zoo/v_Zoo_g08_c01.avi 1\r\nZoo/v_Zoo_g09_c01.avi 1\r\n",
    "testlist01.txt": "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n",
    "trainlist02.txt": "HandstandPushups/v_HandStandPushups_g01_c01.avi 2\r\n",
    "testlist02.txt": "Zoo/v_Zoo_g08_c01.avi\r\nAbsent/v_Absent_g01_c01.avi\r\n",
}
ON_DISK = (
    "Zoo/v_Zoo_g08_c01.avi",
    "Zoo/v_Zoo_g09_c01.avi",
    "HandstandPushups/v_HandstandPushups_g01_c01.avi",
    "Zoo/other.avi",
    "readme.txt",
)


@pytest.fixture
def ucf(tmp_path) -> tuple[Path, Path]:
    """Videos and lists."""
    videos, lists = tmp_path / "videos", tmp_path / "lists"
    lists.mkdir()
    for name, text in LISTS.items():
        (lists / name).write_bytes(text.encode())
    for name in ON_DISK:
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(b"x")
    return videos, lists


def test_ucf101(ucf):
    inputs = discover("ucf101", *ucf)
    # In classInd's order, and only what is there.
    assert inputs.labels == ("Zoo", "HandstandPushups")
    assert {video.id: video.roles for video in inputs.videos} == {
        "Zoo/v_Zoo_g08_c01.avi": "re",
        "Zoo/v_Zoo_g09_c01.avi": "ru",
        "HandstandPushups/v_HandstandPushups_g01_c01.avi": "er",
    }
    assert inputs.videos[1].group == "v_Zoo_g08"
    assert inputs.unlisted == ("Zoo/other.avi", "readme.txt")
    assert inputs.absent == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classInd.txt", None, "classInd.txt cannot be read"),
        ("testlist02.txt", None, "testlist02.txt cannot be read"),
        ("classInd.txt", "Zoo\n", "line 1.*a number and a class"),
        ("testlist01.txt", "\nCat/v.avi\n", "testlist01.txt, line 2.*class"),
        ("testlist01.txt", "v.avi\n", "line 1.*class"),
        ("trainlist01.txt", "Zoo/a.avi 2\n", "line 1.*expected 1.*Received: 2"),
        ("testlist01.txt", "Zoo/v_Zoo_g08_c01.avi\n", "one side of split 1"),
        ("testlist01.txt", "Zoo/v_Zoo_g08_c02.avi\n", None),
    ],
)
def test_ucf101_lists_that_are_wrong(ucf, name, text, message):
    videos, lists = ucf
    if text is None:
        (lists / name).unlink()
    else:
        (lists / name).write_text(text)
    if message is None:  # its group trains, but the video is not there
        assert discover("ucf101", *ucf).absent == 2
        return
    with pytest.raises(UserError, match=message) as caught:
        discover("ucf101", *ucf)
    assert "\n" not in str(caught.value)


def test_a_group_on_two_sides_is_named(ucf):
    videos, lists = ucf
    (videos / "Zoo/v_Zoo_g08_c02.avi").write_bytes(b"x")
    with open(lists / "testlist01.txt", "a") as file:
        file.write("Zoo/v_Zoo_g08_c02.avi\n")
    with pytest.raises(UserError, match="'v_Zoo_g08'.*split 1"):
        discover("ucf101", *ucf)


def test_lists_of_other_videos(ucf, tmp_path):
    videos, lists = ucf
    with pytest.raises(UserError, match=r"none of the 4 is among 1 files"):
        other = tmp_path / "other"
        other.mkdir()
        (other / "a.avi").write_bytes(b"x")
        discover("ucf101", other, lists)
    with pytest.raises(UserError, match="needs --split_lists"):
        discover("ucf101", videos)
    with pytest.raises(UserError, match="Received: .*nowhere"):
        discover("ucf101", videos, tmp_path / "nowhere")
    with pytest.raises(UserError, match="trainlistNN"):
        discover("ucf101", videos, videos)


def test_hmdb51(tmp_path):
    videos, lists = tmp_path / "videos", tmp_path / "lists"
    lists.mkdir()
    odd = "Oh;-)_[NEW]_!_#1_draw_sword_f_cm_np1_ba_goo_{}.avi"
    for index in (0, 1, 2):
        path = videos / "draw_sword" / odd.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    codes = {1: "1 1 0", 2: "2 2 0"}
    for split, row in codes.items():
        lines = [
            f"{odd.format(index)} {code} \n" for index, code in enumerate(row.split())
        ]
        (lists / f"draw_sword_test_split{split}.txt").write_text("".join(lines))
        absent = f"film_wave_u_nm_np1_fr_med_0.avi {split} \n"
        (lists / f"wave_test_split{split}.txt").write_text(absent)
    inputs = discover("hmdb51", videos, lists)
    assert inputs.labels == ("draw_sword",)
    assert [video.roles for video in inputs.videos] == ["re", "re", "uu"]
    assert {video.group for video in inputs.videos} == {"draw_sword/Oh;-)_[NEW]_!_#1"}
    assert inputs.absent == 1
    (lists / "wave_test_split2.txt").write_text("film_wave_0.avi 3\n")
    with pytest.raises(UserError, match="wave_test_split2.txt, line 1.*0, 1 or 2"):
        discover("hmdb51", videos, lists)
    (lists / "wave_test_split2.txt").unlink()
    with pytest.raises(UserError, match="wave_test_split2.txt cannot be read"):
        discover("hmdb51", videos, lists)


@pytest.mark.real
def test_real_ucf101_lists(real_data):
    lists = real_data / "ucfTrainTestlist"
    inputs = discover("ucf101", real_data / "UCF-101", lists)
    assert inputs.labels == (
        "BodyWeightSquats",
        "HandstandPushups",
        "JumpingJack",
        "PushUps",
        "WallPushups",
    )
    assert len(inputs.videos) == 370
    assert inputs.absent == 13320 - 370
    assert inputs.unlisted == ()
    assert Counter(video.roles for video in inputs.videos) == {
        "err": 102,
        "rer": 96,
        "rre": 113,
        "rrr": 59,
    }


@pytest.mark.real
def test_real_hmdb51_lists(real_data, tmp_path):
    """All of the lists, over empty files that stand for the videos."""
    lists = real_data / "testTrainMulti_7030_splits"
    for path in lists.glob("*_test_split1.txt"):
        folder = tmp_path / path.name.removesuffix("_test_split1.txt")
        folder.mkdir()
        for line in path.read_text().splitlines():
            if line.strip():
                (folder / line.rsplit(" ", 2)[0].strip()).write_bytes(b"x")
    inputs = discover("hmdb51", tmp_path, lists)
    assert len(inputs.labels) == 51
    assert len(inputs.videos) == 6766
    assert (inputs.absent, inputs.unlisted) == (0, ())
    for split in range(3):
        counts = Counter(video.roles[split] for video in inputs.videos)
        assert (counts["r"], counts["e"]) == (3570, 1530)
    assert len({video.roles for video in inputs.videos}) == 27
