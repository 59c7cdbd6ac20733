"""Workers that fail, die or are interrupted take nothing else with them."""

import multiprocessing
from dataclasses import asdict

import pytest

from data_prep import plan
from data_prep.job import WORK, read_entry, run_job
from data_prep.supervisor import run_jobs
from stfn_keras.config import PreparationConfig
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError


@pytest.fixture
def jobs(tmp_path, clips) -> list[dict]:
    (tmp_path / WORK).mkdir()
    options = plan.DatasetOptions(out=str(tmp_path), name="tiny", shard_videos=4)
    config = PreparationConfig(snippets=2, pairs=2)
    return plan.make_jobs(options, config, discover("folder", clips))


def test_progress_is_told_for_each_video(tmp_path, jobs):
    reasons = []
    run_jobs(jobs, 2, reasons.append)
    assert sorted(reasons, key=str) == 9 * [None] + ["damaged"]
    assert all(read_entry(tmp_path, job["file"]) for job in jobs)


def test_a_worker_that_dies_is_named(tmp_path, jobs):
    """Guards against pools, which hang or lose every job."""

    def kill(reason):
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(UserError, match=f"{jobs[0]['file']}.*exit code -9") as caught:
        run_jobs(jobs[:1], 1, kill)
    assert "\n" not in str(caught.value)
    assert read_entry(tmp_path, jobs[0]["file"]) is None


def test_what_fails_names_shard_and_video(jobs):
    jobs[0]["config"]["flow"] = ["nope"]
    with pytest.raises(UserError, match=r"tiny-\w-0000.*avi: .*nope") as caught:
        run_jobs(jobs[:1], 1, lambda reason: None)
    assert "\n" not in str(caught.value)


def test_an_interrupt_stops_the_children(jobs):
    def interrupt(reason):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, 2, interrupt)
    assert multiprocessing.active_children() == []


def test_a_job_is_a_pure_function(tmp_path, jobs):
    shard, entries = tmp_path / jobs[0]["file"], []
    bytes_written = []
    for _ in range(2):
        entries.append(run_job(jobs[0], lambda reason: None))
        bytes_written.append(shard.read_bytes())
    assert entries[0] == entries[1]
    assert bytes_written[0] == bytes_written[1]
    assert not list((tmp_path / WORK).glob("*.partial*"))


def test_a_job_without_usable_videos_leaves_no_shard(tmp_path, jobs):
    job = {**jobs[0], "videos": [{**jobs[0]["videos"][0], "id": "Up/none.avi"}]}
    entry = run_job(job, lambda reason: None)
    assert entry["shard"] is None
    assert [row["reason"] for row in entry["rejected"]] == ["missing"]
    assert not list(tmp_path.glob("*.tfrecord"))
    assert read_entry(tmp_path, job["file"]) == entry


def test_shards_are_of_even_size(clips):
    options = plan.DatasetOptions(out="x", name="a", shard_videos=3)
    inputs = discover("folder", clips)
    jobs = plan.make_jobs(options, PreparationConfig(), inputs)
    sizes = {job["file"]: len(job["videos"]) for job in jobs}
    assert sizes == {
        "a-e-00000-of-00002.tfrecord": 2,
        "a-e-00001-of-00002.tfrecord": 2,
        "a-r-00000-of-00002.tfrecord": 3,
        "a-r-00001-of-00002.tfrecord": 3,
    }
    assert jobs[0]["config"] == asdict(PreparationConfig())
