"""The ledger comes back as it was written, whatever the names."""

import pytest

from stfn_keras.data.ledger import Rejected, read_ledger, write_ledger
from stfn_keras.errors import UserError


def test_round_trip_sorted(tmp_path):
    rows = [
        Rejected('b, "quoted"\'.avi', "damaged", 180, 92),
        Rejected("a\nnewline.avi", "unlisted"),
        Rejected("ü\udce9.avi", "too short", 3, 3),
    ]
    write_ledger(tmp_path, rows)
    assert read_ledger(tmp_path) == [rows[1], rows[0], rows[2]]
    first = (tmp_path / "ledger.csv").read_bytes().splitlines()[0]
    assert first == b"path,reason,frames_declared,frames_decoded"


def test_unknown_reasons_are_refused():
    with pytest.raises(ValueError, match="boredom"):
        Rejected("a.avi", "boredom")


@pytest.mark.parametrize("text", ["", "a,b\n", "path,reason,frames_declared\n"])
def test_other_files_are_no_ledger(tmp_path, text):
    (tmp_path / "ledger.csv").write_text(text)
    with pytest.raises(UserError, match="no ledger"):
        read_ledger(tmp_path)


def test_missing(tmp_path):
    with pytest.raises(UserError, match="missing"):
        read_ledger(tmp_path)
