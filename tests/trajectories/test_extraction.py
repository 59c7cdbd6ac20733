import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from trajectories import rendered

from stfn_keras.data.ledger import Rejected
from stfn_keras.errors import UserError
from stfn_keras.files import aside_of
from stfn_keras.trajectories.cache import DescriptorCache
from stfn_keras.trajectories.extraction import extract
from stfn_keras.trajectories.settings import ExtractionConfig
from stfn_keras.trajectories.videos import find_videos, of_role
from stfn_keras.video.limits import DEFAULT_DECODING

CONFIG = ExtractionConfig(scales=1)
ROOT = Path(__file__).parents[2]
KILLED = """
import sys
from pathlib import Path
from trajectories import rendered
from trajectories.test_extraction import run
if __name__ == "__main__":
    data, videos, cache = map(Path, sys.argv[1:])
    run(data, videos, cache, rendered.slowly)
"""


def run(data, videos, cache, describe=rendered.describe_video, workers=1):
    store = DescriptorCache(cache, CONFIG, DEFAULT_DECODING)
    found = find_videos(data, videos)
    return extract(
        found, store, CONFIG, DEFAULT_DECODING, (0,), workers, describe
    )  # fmt: skip


def contents(cache: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in whole(cache)}


def whole(cache: Path) -> list[Path]:
    return [p for p in sorted(cache.rglob("*.npy")) if ".partial" not in p.name]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return rendered.write_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def extracted(small, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    assert run(*small, cache, workers=2) == []
    return cache


def test_every_video_has_a_file(extracted):
    found = contents(extracted)
    assert len(found) == len(rendered.CLIPS)
    assert all(len(data) > 10_000 for data in found.values())


def test_a_killed_extraction_goes_on_to_equal_files(small, extracted, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    cache = tmp_path / "cache"
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, small), str(cache)],
        env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while process.poll() is None and not contents(cache):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    left = contents(cache)
    assert 0 < len(left) < len(rendered.CLIPS)
    before = {path: path.stat().st_mtime_ns for path in whole(cache)}
    # As a kill in the middle of writing leaves it.
    path = whole(cache)[0]
    lost = next(name for name in contents(extracted) if name not in left)
    aside_of(path.with_name(lost)).write_bytes(b"cut")
    assert run(*small, cache) == []
    assert contents(cache) == contents(extracted)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert whole(cache) == sorted(cache.rglob("*.npy"))


def test_a_video_that_crashes_its_process_costs_itself(small, tmp_path):
    lost = run(*small, tmp_path, rendered.crash_at_r0)
    assert lost == [Rejected("right/r0.mkv", "crashed")]
    assert len(contents(tmp_path)) == len(rendered.CLIPS) - 1


def test_a_second_extraction_is_kept_out(small, tmp_path):
    store = DescriptorCache(tmp_path, CONFIG, DEFAULT_DECODING)
    with store.locked(), pytest.raises(UserError, match="--cache must be free"):
        run(*small, tmp_path)


def test_other_settings_never_mix(tmp_path):
    other = ExtractionConfig(scales=2)
    folders = {
        DescriptorCache(tmp_path, c, DEFAULT_DECODING).folder for c in (CONFIG, other)
    }
    assert len(folders) == 2


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_file_is_named(small, tmp_path, damage):
    store = DescriptorCache(tmp_path, CONFIG, DEFAULT_DECODING)
    video = find_videos(*small)[0]
    store.save(video, 0, np.zeros((3, 5), np.float16))
    if damage is not None:
        store.path(video, 0).write_bytes(damage)
    with pytest.raises(UserError, match="delete it"):
        store.load(video, 0)


def test_videos_are_found_with_their_roles(small):
    data, folder = small
    videos = find_videos(data, folder)
    assert [v.id for v in of_role(videos, 2, "e")] == ["right/r1.mkv", "down/d1.mkv"]
    assert [v.label for v in of_role(videos, 1, "e")] == [1, 0]
    with pytest.raises(UserError, match="--split must be 1 to 2"):
        of_role(videos, 3, "e")


def test_another_video_of_that_name_is_refused(small, tmp_path):
    data, _ = small
    path = tmp_path / "right" / "r0.mkv"
    path.parent.mkdir()
    path.write_bytes(b"another")
    with pytest.raises(UserError, match="was made of"):
        find_videos(data, tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="a folder of extracted frames"):
        find_videos(data, tmp_path)
    with pytest.raises(UserError, match="--videos must be the folder"):
        find_videos(data, tmp_path / "none")
