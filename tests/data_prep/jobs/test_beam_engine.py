"""Beam makes the supervisor's bytes, loses one video at a time, and continues."""

import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import faulty_decoders
import pytest

from data_prep.jobs import beam_engine
from data_prep.jobs.job import WORK, Outcome, read_entry, run_job
from data_prep.plan import Configs, DatasetOptions
from data_prep.prepare import prepare_dataset
from data_prep.task import make_task
from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError

needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="needs apache-beam: pip install .[beam]",
)
PORTABLE = (
    "--runner=PortableRunner",
    "--job_endpoint=embed",  # a job server in Python, as a cluster's in all but size
    "--environment_type=LOOPBACK",
)
PROCESSES = ("--direct_running_mode=multi_processing",)
SETTINGS = Configs(PreparationConfig(snippets=3, pairs=2))


def options(videos: Path, out: Path | str, **changes) -> DatasetOptions:
    given = {"name": "tiny", "shard_videos": 4, "workers": 2, "engine": "beam"}
    return DatasetOptions(videos=str(videos), out=str(out), **{**given, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def jobs(tmp_path, clips) -> list[dict]:
    (tmp_path / "out" / WORK).mkdir(parents=True)
    return make_task(options(clips, tmp_path / "out"), SETTINGS).jobs


@pytest.fixture
def run():
    """Run jobs; returns the counters and what the progress was told."""

    def run_jobs(jobs, *options, workers=2, prepare=faulty_decoders.quick_or_faulty):
        told: list[Outcome] = []
        counters = beam_engine.run_jobs(jobs, workers, options, told.append, prepare)
        return counters, told

    return run_jobs


@needs_beam
def test_several_workers_give_the_bytes_of_the_supervisor(tmp_path, clips, dataset):
    summary = prepare_dataset(options(clips, tmp_path / "beam"), SETTINGS)
    assert (summary.videos, summary.bad) == (9, 1)
    assert contents(tmp_path / "beam") == contents(dataset)
    assert {"ledger.csv", "videos.csv", "manifest.json"} <= contents(dataset).keys()


@needs_beam
@pytest.mark.slow
@pytest.mark.parametrize("beam_options", [PROCESSES, PORTABLE])
def test_so_do_worker_processes_and_a_job_server(
    tmp_path, clips, dataset, beam_options
):
    prepare_dataset(
        options(clips, tmp_path / "beam"), SETTINGS, beam_options=beam_options
    )
    assert contents(tmp_path / "beam") == contents(dataset)


@needs_beam
def test_an_address_as_output(clips, dataset):
    fsspec = pytest.importorskip("fsspec", reason="pip install .[remote]")
    prepare_dataset(options(clips, "memory://bucket/tiny"), SETTINGS)
    system = fsspec.filesystem("memory")
    found = [item for item in system.ls("/bucket/tiny") if item["type"] == "file"]
    assert {
        item["name"].rpartition("/")[2]: system.cat_file(item["name"]) for item in found
    } == contents(dataset)


@needs_beam
def test_counters_and_progress(jobs, run):
    counters, told = run(jobs)
    assert counters == {"videos": 10, "pairs": 20, "bad": 0, "shards": len(jobs)}
    assert sorted(outcome.id for outcome in told) == sorted(
        video["id"] for job in jobs for video in job["videos"]
    )
    assert sum(outcome.pairs for outcome in told) == 20
    assert beam_engine.describe(counters).startswith("beam: 10 videos, 20 pairs, 0 bad")


@needs_beam
def test_a_decoder_that_aborts_costs_its_video_alone(tmp_path, clips, run):
    videos = tmp_path / "videos"
    shutil.copytree(clips, videos)
    (videos / "Left/v_Left_g00_c01.avi").rename(videos / "Left/v_Left_g00_aborts.avi")
    (tmp_path / "out" / WORK).mkdir(parents=True)
    jobs = make_task(options(videos, tmp_path / "out"), SETTINGS).jobs
    counters, told = run(jobs)
    assert (counters["videos"], counters["bad"], counters["bad: crashed"]) == (9, 1, 1)
    (bad,) = [outcome for outcome in told if outcome.reason]
    assert (bad.id, bad.reason) == ("Left/v_Left_g00_aborts.avi", "crashed")
    entries = [read_entry(job["out"], job["file"]) for job in jobs]
    assert sum(len(entry["videos"]) for entry in entries) == 9


@needs_beam
def test_bad_videos_leave_through_an_output_of_their_own(tmp_path, jobs):
    """One shard is there already, as a retried bundle finds it."""
    beam_engine._import_beam()
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.testing.util import assert_that, equal_to

    from data_prep.jobs.beam_shards import PrepareShards

    (cut,) = [job for job in jobs if "Up_g04" in json.dumps(job)]
    entry = run_job(cut, lambda outcome: None)
    written = Path(cut["out"], cut["file"]).stat().st_ino
    (row,) = entry["rejected"]
    expected = {
        "path": "Up/v_Up_g04_c01.avi",
        "reason": "damaged",
        "declared": row["frames_declared"],
        "decoded": row["frames_decoded"],
    }
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        elements = [json.dumps(job) for job in jobs]
        made = pipeline | beam.Create(elements) | PrepareShards()
        bad = made.bad | "parse" >> beam.Map(json.loads)
        assert_that(bad, equal_to([expected]), "bad")
        files = [job["file"] for job in jobs]
        assert_that(made.shards, equal_to(files), "shards")
    assert Path(cut["out"], cut["file"]).stat().st_ino == written


@needs_beam
def test_a_second_run_continues(tmp_path, clips, dataset):
    out = tmp_path / "beam"
    failing = options(clips, out)
    task = make_task(failing, SETTINGS)
    shutil.copytree(dataset / WORK, out / WORK)
    run_job(task.jobs[0], lambda outcome: None)
    before = (out / task.jobs[0]["file"]).stat().st_ino
    prepare_dataset(failing, SETTINGS)
    assert (out / task.jobs[0]["file"]).stat().st_ino == before
    assert contents(out) == contents(dataset)
    assert prepare_dataset(failing, SETTINGS).seconds == 0.0


@needs_beam
@pytest.mark.parametrize(
    "beam_options", [(), pytest.param(PORTABLE, marks=pytest.mark.slow)]
)
def test_what_fails_names_shard_and_video_in_one_line(jobs, run, capfd, beam_options):
    jobs[1]["config"]["flow"] = ["nope"]
    from data_prep.jobs.item import prepare_item

    with pytest.raises(UserError) as caught:
        run(jobs, *beam_options, prepare=prepare_item)
    message, video = str(caught.value), jobs[1]["videos"][0]["id"]
    assert message.startswith(f"shard {jobs[1]['file']}, video '{video}', cannot be")
    assert "nope" in message and "\n" not in message and "\\n" not in message
    assert message.endswith("the same command continues")
    assert read_entry(jobs[1]["out"], jobs[1]["file"]) is None
    if not beam_options:
        assert "Traceback" not in capfd.readouterr().err


@needs_beam
def test_a_job_that_another_try_finished_is_no_failure(jobs, run, monkeypatch):
    """Guards against runners that try one job twice at a time."""
    beam_engine._import_beam()
    from data_prep.jobs import beam_shards

    def overtaken(*arguments):
        run_job(*arguments)
        raise FileNotFoundError("moved by the other try")

    monkeypatch.setattr(beam_shards, "run_job", overtaken)
    counters, _ = run(jobs)
    assert counters["shards"] == len(jobs)


@needs_beam
def test_an_interrupt_stops_the_children(jobs, capfd):
    def interrupt(outcome):
        if not sent:
            os.kill(os.getpid(), signal.SIGINT)
        sent.append(outcome)

    sent: list[Outcome] = []
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        beam_engine.run_jobs(jobs, 2, (), interrupt, faulty_decoders.quick)
    assert set(multiprocessing.active_children()) <= before
    assert "Traceback" not in capfd.readouterr().err


@needs_beam
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--direct_num_wokers=3", "--direct_num_workers"),
        ("--direct_num_workers=x", "invalid int value: 'x'"),
        ("word", "'word'"),
    ],
)
def test_options_that_are_not_beams(given, words):
    with pytest.raises(UserError, match="after --") as caught:
        beam_engine.parse_options([given], 2)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@needs_beam
def test_the_local_runner_is_never_the_one_that_downloads():
    """Guards against DirectRunner, which tries to fetch Prism's binary first."""
    for given in ([], ["--runner=DirectRunner"], ["--runner=FnApiRunner"]):
        settings = beam_engine.parse_options(given, 3)
        assert settings.local and settings.shared
        assert settings.options.get_all_options()["direct_num_workers"] == 3
    chosen = beam_engine.parse_options(["--direct_num_workers=1"], 3)
    assert chosen.options.get_all_options()["direct_num_workers"] == 1
    assert not beam_engine.parse_options(PROCESSES, 3).shared


@needs_beam
def test_a_job_server_may_know_more_options():
    settings = beam_engine.parse_options([*PORTABLE, "--object_reuse=true"], 2)
    assert not settings.local


def test_without_beam_there_is_a_hint(monkeypatch, jobs):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install '.\[beam\]'") as caught:
        beam_engine.run_jobs(jobs, 1, (), lambda outcome: None)
    assert "\n" not in str(caught.value)


def test_the_line_that_matters_of_a_trace():
    line = "shard a-r-0.tfrecord, video 'b.avi', cannot be made: disk full"
    trace = f"Traceback:\n  File x\nShardError: {line} [while running 'run']\n\nmore"
    assert beam_engine._reason(trace) == line
    assert beam_engine._reason("a\nlast line\n") == "Beam's job failed: last line"
