"""Shared fixtures: real data through STFN_REAL_DATA, absl flags marked parsed."""

import os
from pathlib import Path

import pytest
from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips and official lists; skips where there is none."""
    folder = os.environ.get("STFN_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set STFN_REAL_DATA to the folder with the real clips")
    return Path(folder)
