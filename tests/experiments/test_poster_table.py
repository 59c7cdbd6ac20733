"""The poster's table on one run, and on a run for each split."""

import pytest
from conftest import small_model, small_training

from stfn_keras.experiments.poster_table import POSTER, poster_table
from stfn_keras.experiments.settings import changed


def test_the_rows_do_with_a_run_of_other_streams():
    """Networks with their own streams refuse those, and the weights of three."""
    model = small_model(
        network="tsn",
        modalities=("rgb", "flow", "dynamic_flow"),
        modality_weights=(1.0, 1.5, 1.0),
    )
    model, training = changed(model, small_training(), POSTER.base, "base")
    rows = [changed(model, training, row.settings, row.name)[0] for row in POSTER.rows]
    assert [len(row.streams) for row in rows] == [1, 1, 2, 2, 2, 2]


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
