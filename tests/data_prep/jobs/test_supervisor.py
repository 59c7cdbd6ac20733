"""Workers that fail, die or are interrupted take nothing else with them."""

import multiprocessing
from dataclasses import asdict
from pathlib import Path

import faulty_decoders
import pytest

from data_prep import plan
from data_prep.jobs.job import WORK, read_entry, run_job
from data_prep.jobs.supervisor import run_jobs
from data_prep.plan import Configs
from stfn_keras.config import PreparationConfig
from stfn_keras.data.inputs import Video
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError


@pytest.fixture
def others() -> set:
    """Children that other tests' jobs keep for the next."""
    return set(multiprocessing.active_children())


@pytest.fixture
def jobs(tmp_path, clips) -> list[dict]:
    (tmp_path / WORK).mkdir()
    options = plan.DatasetOptions(out=str(tmp_path), name="tiny", shard_videos=4)
    configs = Configs(PreparationConfig(snippets=2, pairs=2))
    inputs = discover("folder", clips)
    videos = plan.taken(inputs.videos)
    return plan.make_jobs(options, configs, clips, videos, inputs.labels)


def test_progress_is_told_for_each_video(tmp_path, jobs, others):
    outcomes = []
    run_jobs(jobs, 2, outcomes.append)
    assert sorted((o.reason for o in outcomes), key=str) == 9 * [None] + ["damaged"]
    assert sum(outcome.pairs for outcome in outcomes) == 9 * 4
    assert all(read_entry(str(tmp_path), job["file"]) for job in jobs)
    assert set(multiprocessing.active_children()) <= others


def test_killed_children_cost_nothing(tmp_path, jobs):
    """Guards against pools, which hang or lose every job, and against the ledger."""
    run_jobs(jobs, 2, lambda outcome: None)
    undisturbed = {p.name: p.read_bytes() for p in tmp_path.glob("*.tfrecord")}
    kept = [read_entry(str(tmp_path), job["file"]) for job in jobs]
    for path in [*tmp_path.glob("*.tfrecord"), *(tmp_path / WORK).iterdir()]:
        path.unlink()

    outcomes = []

    def kill(outcome):
        outcomes.append(outcome)
        for child in multiprocessing.active_children() if len(outcomes) % 3 else ():
            child.kill()

    run_jobs(jobs, 2, kill)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.tfrecord")} == undisturbed
    assert [read_entry(str(tmp_path), job["file"]) for job in jobs] == kept


def test_settings_that_cannot_be_used_name_the_shard(jobs, others):
    jobs[0]["config"]["flow"] = ["nope"]
    with pytest.raises(UserError, match=r"tiny-\w-0000.*nope") as caught:
        run_jobs(jobs[:1], 1, lambda outcome: None)
    assert "\n" not in str(caught.value)
    assert set(multiprocessing.active_children()) <= others


def test_a_shard_that_cannot_be_written_is_named(tmp_path, jobs):
    """As on a full disk: the run ends, and what is finished stays."""
    run_jobs(jobs[:1], 1, lambda outcome: None, faulty_decoders.quick)
    (tmp_path / jobs[1]["file"]).mkdir()
    with pytest.raises(UserError, match=f"{jobs[1]['file']}.*continues"):
        run_jobs(jobs[1:], 2, lambda outcome: None, faulty_decoders.quick)
    assert read_entry(str(tmp_path), jobs[0]["file"])
    assert not read_entry(str(tmp_path), jobs[1]["file"])


def test_an_interrupt_stops_the_children(jobs, others):
    def interrupt(outcome):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, 2, interrupt)
    assert set(multiprocessing.active_children()) <= others


def test_a_job_is_a_pure_function(tmp_path, jobs):
    shard, entries = tmp_path / jobs[0]["file"], []
    bytes_written = []
    for _ in range(2):
        entries.append(run_job(jobs[0], lambda outcome: None))
        bytes_written.append(shard.read_bytes())
    assert entries[0] == entries[1]
    assert bytes_written[0] == bytes_written[1]
    assert not list((tmp_path / WORK).glob("*.partial*"))


def test_a_job_without_usable_videos_leaves_no_shard(tmp_path, jobs):
    job = {
        **jobs[0],
        "videos": [{**jobs[0]["videos"][0], "file": "Up/none.avi", "bytes": 0}],
    }
    entry = run_job(job, lambda outcome: None)
    assert entry["shard"] is None
    assert [row["reason"] for row in entry["rejected"]] == ["missing"]
    assert not list(tmp_path.glob("*.tfrecord"))
    assert read_entry(str(tmp_path), job["file"]) == entry


def test_shards_are_of_even_size(clips):
    options = plan.DatasetOptions(out="x", name="a", shard_videos=3)
    inputs = discover("folder", clips)
    videos = plan.taken(inputs.videos)
    jobs = plan.make_jobs(options, Configs(), clips, videos, inputs.labels)
    sizes = {job["file"]: len(job["videos"]) for job in jobs}
    assert sizes == {
        "a-e-00000-of-00002.tfrecord": 2,
        "a-e-00001-of-00002.tfrecord": 2,
        "a-r-00000-of-00002.tfrecord": 3,
        "a-r-00001-of-00002.tfrecord": 3,
    }
    assert jobs[0]["config"] == asdict(PreparationConfig())


@pytest.mark.parametrize(("videos", "largest"), [(10, 4), (320, 10), (5000, 32)])
def test_shards_are_small_where_videos_are_few(videos, largest):
    """Otherwise a worker waits at the end while another makes a large one."""
    some = [Video(f"a/{i}.avi", "a", f"{i}", "r") for i in range(videos)]
    options = plan.DatasetOptions(out="x", name="a")
    jobs = plan.make_jobs(options, Configs(), Path("v"), some, ["a"])
    assert max(len(job["videos"]) for job in jobs) == largest
