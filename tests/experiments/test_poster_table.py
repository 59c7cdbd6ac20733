"""The poster's table on one run, and on a run for each split."""

import pytest

from stfn_keras.experiments.poster_table import poster_table


@pytest.mark.slow
def test_the_posters_rows(trained, tmp_path):
    said = []
    table = poster_table([trained], seeds=1, out=tmp_path, say=said.append)
    assert table.rows["row"].tolist() == [
        "spatial", "temporal", "late fusion", "(1) feature fusion", "(2) 1 block",
        "(3) 2 blocks",
    ]  # fmt: skip
    assert (table.rows["videos"] == 5).all()
    assert table.rows["video_top1"].between(0, 1).all()
    assert len(said) == 6
    poster_table([trained], seeds=1, out=tmp_path, say=said.append)
    assert all(line.endswith("(kept)") for line in said[6:])
