"""The whole path through the command line, on rendered and on real clips.

Every command is a new process on rendered clips, and a fork on real ones.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forked
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SMALL = [
    "--tower=tiny", "--rgb_weights=none", "--rgb_size=32", "--segments=4",
    "--blocks=1", "--width=8", "--rgb_epochs=1", "--flow_epochs=1",
    "--fusion_epochs=2", "--end_to_end_epochs=1",
    "--stages=rgb,flow,fusion,end_to_end", "--rgb_batch=8", "--flow_batch=8",
    "--fusion_batch=8", "--end_to_end_batch=8",
]  # fmt: skip


def in_new_process(*arguments: object) -> subprocess.CompletedProcess:
    """Run a command of the project as users do."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def succeeding(run: Callable) -> Callable[..., str]:
    """The same, but it fails the test with the command's errors if that fails."""

    def checked(*arguments: object) -> str:
        found = run(*arguments)
        assert found.returncode == 0, found.stderr[-2000:]
        return found.stdout

    return checked


@pytest.mark.slow
def test_from_videos_to_a_prediction(tmp_path):
    run = succeeding(in_new_process)
    clips, data, out = tmp_path / "clips", tmp_path / "data", tmp_path / "run"
    run("-m", "data_prep", "demo-clips", "--out", clips, "--groups=3", "--clips=1")
    broken = clips / "videos" / "Spin" / "v_Spin_g01_c01.avi"
    broken.write_bytes(broken.read_bytes()[:3000])
    run(
        "-m", "data_prep", "--videos", clips / "videos", "--protocol=ucf101",
        "--split_lists", clips / "splits", "--out", data, "--flow=dis",
        "--max_bad_fraction=0.05",
    )  # fmt: skip
    manifest = json.loads((data / "manifest.json").read_text())
    ledger = (data / "ledger.csv").read_text().splitlines()[1:]
    assert manifest["videos"] + len(ledger) == 24
    assert len(ledger) == 1
    assert "v_Spin_g01_c01" in ledger[0]
    run("-m", "data_prep", "verify", data)
    check_journey(run, clips / "videos", data, out, tmp_path)


@pytest.mark.real
@pytest.mark.slow
def test_from_real_videos_to_a_prediction(real_data, tmp_path):
    run, data = succeeding(forked.run), tmp_path / "data"
    run(
        "-m", "data_prep", "--videos", real_data / "UCF-101", "--protocol=ucf101",
        "--split_lists", real_data / "ucfTrainTestlist", "--out", data, "--flow=dis",
        "--limit=24",
    )  # fmt: skip
    manifest = json.loads((data / "manifest.json").read_text())
    assert manifest["videos"] == 24
    check_journey(run, real_data / "UCF-101", data, tmp_path / "run", tmp_path)


def check_journey(
    run: Callable[..., str], videos: Path, data: Path, out: Path, tmp_path: Path
) -> None:
    """Train, evaluate, export; a raw file's scores are the evaluation's."""
    run("train.py", "--data", data, "--split=2", "--out", out, *SMALL)
    metrics = json.loads(run("evaluate.py", "--run", out, "--json"))
    run("export.py", "--run", out, "--out", tmp_path / "model")
    with np.load(out / "report" / "scores.npz", allow_pickle=False) as scores:
        ids, logits = scores["video_id"].tolist(), scores["logits"]
    assert metrics["videos"] == len(ids) == len(set(ids))

    # From the raw file: the same scores as the evaluation's.
    for index in (0, len(ids) - 1):
        video = videos / ids[index]
        text = run(
            "predict.py", "--model", tmp_path / "model", "--json",
            "--out", tmp_path / "predictions", video,
        )  # fmt: skip
        found = json.loads(text)
        exponentials = np.exp(logits[index] - logits[index].max())
        expected = exponentials / exponentials.sum()
        np.testing.assert_allclose(list(found["scores"].values()), expected, atol=1e-5)
        assert (tmp_path / "predictions" / f"{video.stem}.png").stat().st_size > 10_000
    assert not list(tmp_path.rglob("*.partial*"))
