"""videos.csv holds any name, sorted by shard, and says what is wrong with it."""

import pytest

from stfn_keras.data.index import INDEX, Indexed, iterate_index, read_index, write_index
from stfn_keras.errors import UserError


def row(record: int, shard: str = "a.tfrecord", **changes) -> Indexed:
    values = {"path": f"Walk/{record}.avi", "label": "Walk", "group": "g01",
              "roles": "re", "shard": shard, "record": record, "frames": 90,
              "rate": 30000 / 1001, "height": 240, "width": 320}  # fmt: skip
    return Indexed(**{**values, **changes})


def test_rows_come_back_in_order(tmp_path):
    rows = [row(0), row(1, errors=3), row(0, "b.tfrecord"), row(10, "b.tfrecord")]
    write_index(tmp_path, reversed(rows))
    assert read_index(tmp_path) == rows
    assert next(iterate_index(tmp_path)) == rows[0]


@pytest.mark.parametrize(
    "name", ["a b.avi", "ü.avi", 'q"uote,s.avi', "two\nlines\r.avi", "b\udcff.avi", ""]
)
def test_any_name(tmp_path, name):
    rows = [row(0, path=name, label=name, group=name), row(1)]
    write_index(tmp_path, rows)
    assert read_index(tmp_path) == rows


def test_no_videos(tmp_path):
    write_index(tmp_path, [])
    assert read_index(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected the columns path,label,"),
        ("path,label\n", "expected the columns"),
        ("{head}\na,b\n", "line 2: "),
        ("{head}\na,b,c,r,s,one,1,1.0,1,1,0\n", "line 2: invalid literal"),
        ("{head}\na,b,c,r,s,1,1,fast,1,1,0\n", "line 2: could not convert"),
        ("{head}\n" + "x" * 200_000 + "\n", "field larger than"),
    ],
)
def test_what_is_no_index(tmp_path, text, words):
    write_index(tmp_path, [])
    path = tmp_path / INDEX
    head = path.read_text().strip()
    path.write_text(text.replace("{head}", head))
    with pytest.raises(UserError, match="videos.csv is no index of videos: ") as error:
        read_index(tmp_path)
    assert words in str(error.value)


def test_no_index(tmp_path):
    with pytest.raises(UserError, match=r"videos.csv is missing: prepare"):
        read_index(tmp_path)
