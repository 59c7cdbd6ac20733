"""Every file of the nasty corpus is told apart, and nothing else is touched."""

import nasty_corpus
import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.data.ledger import REASONS
from stfn_keras.video.prepare import VideoError, prepare_video

CONFIG = PreparationConfig(snippets=3, pairs=2)


def reason_of(path) -> str | None:
    try:
        prepared = prepare_video(path, CONFIG)
    except VideoError as error:
        return error.reason
    assert len(prepared.rgb) == len(prepared.flow["dis"]) == 3
    return None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nasty")
    return folder, nasty_corpus.build(folder)


def test_each_file_is_classified_as_intended(corpus):
    folder, expected = corpus
    assert len(expected) >= 25
    found = {name: reason_of(folder / name) for name in expected}
    assert found == expected
    assert set(expected.values()) - {None} <= set(REASONS)


def test_files_are_small_and_left_alone(corpus):
    folder, expected = corpus
    files = [path for path in folder.glob("*/*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 200_000
    before = {path: path.stat().st_mtime_ns for path in files}
    for name in expected:
        reason_of(folder / name)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert not list(folder.rglob("PWNED"))


def test_what_is_no_file(tmp_path):
    """Guards against a FIFO, which waits forever for a writer."""
    expected = nasty_corpus.build_special(tmp_path)
    assert {name: reason_of(tmp_path / name) for name in expected} == expected
