import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from trajectories import rendered

from stfn_keras.data.ledger import read_ledger
from stfn_keras.errors import UserError
from stfn_keras.evaluation.entries import Entry
from stfn_keras.evaluation.fused import fuse_splits
from stfn_keras.evaluation.fusion import normed
from stfn_keras.evaluation.scores import Scores
from stfn_keras.trajectories import scoring
from stfn_keras.trajectories.scoring import score_split
from stfn_keras.trajectories.settings import EncodingConfig, ExtractionConfig

# One Gaussian: several would each fit the few clips of a class, whose gradients by
# them then sum to nothing.
EXTRACTION = ExtractionConfig(scales=1, length=6)
ENCODING = EncodingConfig(clusters=1, sample=400)
MIFS = EncodingConfig(clusters=1, sample=400, features="mifs", skips=(0, 1))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return rendered.write_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def score(small, out, encoding=ENCODING, split=1, cache=None):
    """Score without a report's pictures, which take longer than all the rest."""

    def scores_alone(folder: Path, scores: Scores, settings: dict) -> dict:
        scores.save(folder / "scores.npz")
        return settings

    with mock.patch.object(scoring, "write_report", scores_alone):
        score_split(*small, out, split, EXTRACTION, encoding, cache)
    return Scores.load(out / "report" / "scores.npz")


@pytest.fixture(scope="module")
def idt(small, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "idt"
    score_split(*small, out, 1, EXTRACTION, ENCODING, cache)
    return out


def test_every_test_video_is_scored_once(idt):
    scores = Scores.load(idt / "report" / "scores.npz")
    assert scores.video_id.tolist() == ["right/r2.mkv", "down/d2.mkv"]
    assert scores.label.tolist() == [1, 0]
    assert scores.classes.tolist() == list(rendered.CLASSES)
    assert scores.logits.dtype == np.float32
    # Directions of motion are what these features see.
    np.testing.assert_array_equal(scores.logits.argmax(axis=1), scores.label)
    found = json.loads((idt / "report" / "metrics.json").read_text())
    assert found["videos"] == 2 and found["video_top1"] == 1.0
    assert found["network"] == "idt" and found["skips"] == "0"
    assert read_ledger(idt) == []
    config = json.loads((idt / "config.json").read_text())
    assert config["extraction"]["length"] == 6 and config["encoding"]["clusters"] == 1
    assert {p.name for p in idt.iterdir()} == {"config.json", "ledger.csv", "report"}


def test_mifs_of_skip_0_is_idt(small, cache, idt, tmp_path):
    only = EncodingConfig(clusters=1, sample=400, features="mifs", skips=(0,))
    found = score(small, tmp_path / "mifs", only, cache=cache)
    expected = Scores.load(idt / "report" / "scores.npz")
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_more_skips_change_the_scores_and_share_the_cache(small, cache, idt, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("skip0/*.npy")}
    found = score(small, tmp_path / "mifs", MIFS, cache=cache)
    expected = Scores.load(idt / "report" / "scores.npz")
    assert not np.array_equal(found.logits, expected.logits)
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("skip0/*.npy")} == before
    assert len(list(cache.rglob("skip1/*.npy"))) == len(rendered.CLIPS)


def test_a_seed_gives_the_same_scores(small, cache, idt, tmp_path):
    found = score(small, tmp_path / "again", cache=cache)
    expected = Scores.load(idt / "report" / "scores.npz")
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_only_training_videos_are_fitted_on(small, cache, idt, tmp_path):
    """Whatever a test video holds, the other test video's scores stay as they are."""
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    expected = Scores.load(idt / "report" / "scores.npz")
    changed = changed_test_video(small, own)
    found = score(small, tmp_path / "changed", cache=own)
    is_changed = found.video_id == changed
    assert is_changed.sum() == 1
    np.testing.assert_array_equal(
        found.logits[~is_changed], expected.logits[~is_changed]
    )
    assert not np.array_equal(found.logits[is_changed], expected.logits[is_changed])


def changed_test_video(small, cache: Path) -> str:
    from stfn_keras.trajectories.videos import find_videos, of_role

    video = of_role(find_videos(*small), 1, "e")[0]
    (path,) = cache.rglob(f"skip0/{video.digest}.npy")
    noise = np.random.default_rng(0).uniform(0, 1, np.load(path).shape)
    np.save(path, noise.astype(np.float16))
    return video.id


def test_another_split_trains_on_its_own_videos(small, cache, tmp_path):
    found = score(small, tmp_path / "s2", split=2, cache=cache)
    assert found.video_id.tolist() == ["right/r1.mkv", "down/d1.mkv"]


def test_scores_are_fused_by_id_with_others(idt, tmp_path):
    mine = Scores.load(idt / "report" / "scores.npz")
    other = Scores(
        mine.video_id[::-1], 1 - mine.label[::-1],
        np.array([[3.0, 4.0], [-1.0, 1.0]], np.float32), mine.classes[::-1],
    )  # fmt: skip
    other.save(tmp_path / "other.npz")
    entries = [Entry.read(str(tmp_path / "other.npz")), Entry.read(str(idt))]
    found = fuse_splits(entries, "l2", (1, 0.5)).scores[0]
    first = mine.logits[1, ::-1] / np.linalg.norm(mine.logits[1])
    weights = normed((1, 0.5))
    np.testing.assert_allclose(
        found.logits[0], weights[0] * np.array([0.6, 0.8]) + weights[1] * first,
        rtol=1e-5,
    )  # fmt: skip
    assert found.video_id.tolist() == other.video_id.tolist()


def damaged(small, tmp_path, name) -> tuple[Path, Path]:
    data, videos = small
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    path = next(folder.rglob(name))
    path.write_bytes(bytes(path.stat().st_size))
    return data, folder


def test_a_bad_training_video_is_listed_and_the_rest_go_on(small, cache, tmp_path):
    own = tmp_path / "cache"
    found = score(damaged(small, tmp_path, "r0.mkv"), tmp_path / "out", cache=own)
    assert len(found.video_id) == 2
    (row,) = read_ledger(tmp_path / "out")
    assert (row.path, row.reason) == ("right/r0.mkv", "unreadable container")


def test_a_bad_test_video_is_an_error_that_names_it(small, tmp_path):
    data, folder = damaged(small, tmp_path, "r2.mkv")
    (folder / "down" / "d2.mkv").unlink()
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"right/r2.mkv cannot be used \(unreadable"):
        score((data, folder), out)
    assert [row.path for row in read_ledger(out)] == ["down/d2.mkv", "right/r2.mkv"]
    assert not (out / "report").exists()
    # The rest is kept beside OUT, for when it is mended.
    assert len(list((tmp_path / "trajectories").rglob("*.npy"))) == 4


def test_other_results_are_not_written_over(small, tmp_path):
    (tmp_path / "config.json").write_text('{"kind": "stfn_keras run"}')
    with pytest.raises(UserError, match="--out must be new or hold results of this"):
        score(small, tmp_path)


@pytest.mark.real
def test_real_clips_are_told_apart(real_data, tmp_path):
    """Two classes of UCF101, two training clips and a test clip of each."""
    data, names = tmp_path / "data", ("JumpingJack", "WallPushups")
    folder = real_data / "UCF-101"
    rows = [
        (f"{name}/v_{name}_g{group:02d}_c01.avi", name, role)
        for name in names
        for group, role in ((8, "r"), (10, "r"), (1, "e"))
    ]
    rendered.write_index_of(data, rows, names)
    found = score_split(
        data, folder, tmp_path / "out", 1,
        ExtractionConfig(size=96, max_trajectories=500),
        EncodingConfig(features="mifs", skips=(2,), clusters=1, sample=2000),
        workers=2,
    )  # fmt: skip
    assert found["videos"] == 2 and found["video_top1"] == 1.0
