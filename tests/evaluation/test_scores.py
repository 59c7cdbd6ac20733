"""Score files: what is written is read back, and every damage is an error."""

import zipfile

import numpy as np
import pytest
from evaluation.made_up_scores import made_up, write_csv

from stfn_keras.errors import UserError
from stfn_keras.evaluation.entries import read_scores
from stfn_keras.evaluation.scores import ARRAYS, Scores


def arrays(**changes):
    scores = made_up(4, 3)
    return {name: getattr(scores, name) for name in ARRAYS} | changes


def test_the_file_holds_what_the_contract_names(tmp_path):
    scores = Scores(np.array(["é.avi"]), np.array([1]), np.ones((1, 2), np.float32),
                    np.array(["a", "b"]), {"rgb_logits": np.zeros((1, 2))},
                    np.array([0.5]))  # fmt: skip
    scores.save(tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert set(file.files) == {*ARRAYS, "rgb_logits"}
        assert file["logits"].dtype == np.float32
        assert file["label"].dtype.kind == "i"
    again = Scores.load(tmp_path / "scores.npz")
    assert again.video_id.tolist() == ["é.avi"]
    assert again.label.tolist() == [1]
    assert list(again.streams) == ["rgb_logits"]
    np.testing.assert_array_equal(again.logits, scores.logits)


def test_other_programs_types_are_taken(tmp_path):
    path = tmp_path / "s.npz"
    given = arrays(video_id=np.array([b"a", b"b", b"c", b"d"]),
                   label=np.array([0, 1, 2, 0], np.uint8),
                   logits=np.ones((4, 3)))  # fmt: skip
    np.savez(path, **given, note=np.array("anything"))
    found = Scores.load(path)
    assert found.video_id.tolist() == ["a", "b", "c", "d"]
    assert found.logits.dtype == np.float32
    assert found.label.dtype == np.int64
    assert not found.streams


NAN = np.array([[0, 1, 2], [0, np.nan, 1], [0, 1, 2], [0, 1, 2]], np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_id": np.array(["a", "b", "a", "c"])}, "'a' 2 times"),
        ({"classes": np.array(["x", "y", "x"])}, "'x' 2 times"),
        ({"label": np.array([0, 1, 3, 0])}, "Received: 3 for v002.avi"),
        ({"label": np.array([0, -1, 2, 0])}, "Received: -1 for v001.avi"),
        ({"label": np.array([0.0, 1.0, 2.0, 0.0])}, "must be integers"),
        ({"label": np.array([0, 1])}, r"must be integers.*shape \(2,\)"),
        ({"logits": NAN}, "NaN, infinity or a number too large for v001.avi"),
        ({"logits": np.full((4, 3), 1e300)}, "too large for v000.avi"),
        ({"logits": np.zeros((4, 2), np.float32)}, r"shape \(4, 3\)"),
        ({"logits": np.zeros((4, 3), complex)}, "must be numbers"),
        ({"rgb_logits": np.zeros((3, 3))}, "rgb_logits must be numbers of shape"),
        ({"classes": np.array([])}, "classes must be a list of text"),
        ({"video_id": np.array("a")}, "video_id must be a list of text"),
        ({"video_id": np.array(list("abcd"), object)}, "Python objects, which are"),
    ],
)
def test_damage_is_named(tmp_path, changes, message):
    np.savez(tmp_path / "s.npz", **arrays(**changes))
    with pytest.raises(UserError, match=message):
        Scores.load(tmp_path / "s.npz")


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_named(tmp_path, name):
    given = arrays()
    del given[name]
    np.savez(tmp_path / "s.npz", **given)
    with pytest.raises(UserError, match=f"{name} is missing"):
        Scores.load(tmp_path / "s.npz")


def test_no_byte_of_a_file_can_change_unnoticed(tmp_path):
    """Either an error says so, or the change lies in what says nothing (a time)."""
    path = tmp_path / "s.npz"
    made_up(4, 3).save(path)
    expected, whole = Scores.load(path), path.read_bytes()
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 0x10
        path.write_bytes(data)
        try:
            found = Scores.load(path)
        except UserError:
            continue
        np.testing.assert_array_equal(found.logits, expected.logits)
        assert found.video_id.tolist() == expected.video_id.tolist()
        assert found.label.tolist() == expected.label.tolist()
        assert found.classes.tolist() == expected.classes.tolist()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match="damaged or something else"):
            Scores.load(path)


def test_what_is_no_zip_or_claims_too_much_is_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "s.npy", np.zeros(3))
    with pytest.raises(UserError, match="damaged or something else"):
        Scores.load(tmp_path / "s.npy")
    with pytest.raises(UserError, match=r"does not exist; `evaluate.py --run"):
        Scores.load(tmp_path / "none.npz")
    made_up().save(tmp_path / "s.npz")
    monkeypatch.setattr("stfn_keras.evaluation.scores.MAX_BYTES", 1000)
    with pytest.raises(UserError, match="claims more"):
        Scores.load(tmp_path / "s.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_twice_is_refused(tmp_path):
    """NumPy would take the later one in silence."""
    path = tmp_path / "s.npz"
    made_up().save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("classes.npy", file.read("classes.npy"))
    with pytest.raises(UserError, match="holds an array twice"):
        Scores.load(path)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_table_is_the_same_scores(tmp_path, by_name):
    scores, path = made_up(), tmp_path / "t.CSV"
    write_csv(scores, path, by_name)
    found = read_scores(path)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(scores, name))


def test_a_label_that_is_a_class_is_no_number(tmp_path):
    """Columns named 1, 2, 3: label 1 is the first of them, not the second."""
    path = tmp_path / "t.csv"
    path.write_text('\ufeffid,label,1,2,3\n"a, b.avi",1,0,1,2\n\nc,3,0,0,0\n')
    found = read_scores(path)
    assert found.label.tolist() == [0, 2]
    assert found.video_id.tolist() == ["a, b.avi", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with the header"),
        ("id,label\n", "must begin with the header"),
        ("video,label,a\n", "Received: 'video,label,a'"),
        ("id,label,a,b\n", "a header alone"),
        ("id,label,a,b\nx,a,1\n", "line 2: expected 4 values.*Received: 3"),
        ("id,label,a,b\nx,a,1,2\n\ny,a,1,two\n", "line 4: scores must be numbers"),
        ("id,label,a,b\nx,a,1,2\ny,c,1,2\n", "line 3: labels must be .* 'c'"),
        ("id,label,a,b\nx,0,1,2\ny,2,1,2\n", "line 3: labels must be .* '2'"),
        ("id,label,a,b\nx,0,1,2\ny,a,1,2\n", "line 2: labels must be .* '0'"),
        ("id,label,a,b\nx,a,1,nan\n", "must be finite"),
        ("id,label,a,a\nx,a,1,2\n", "'a' 2 times"),
        ("id,label,a,b\nx,a,1,2\nx,a,1,2\n", "'x' 2 times"),
        ('id,label,a,b\n"x,a,1,2\n', "expected scores in CSV"),
    ],
)
def test_faults_of_a_table_are_named(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_scores(tmp_path / "t.csv")


def test_a_table_of_no_text_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="expected scores in CSV"):
        read_scores(tmp_path / "t.csv")
