"""Two real workers on this machine: one's losses, a killed one, the restart."""

import json
import socket
import time

import pandas as pd
import pytest
from conftest import small_model, small_training
from forked import Forked

from stfn_keras.errors import UserError
from stfn_keras.training.engines.tensorflow_engine import TensorFlowEngine
from stfn_keras.training.engines.workers import Workers, meet_workers
from stfn_keras.training.train import train

SETTINGS = [
    "--tower=tiny", "--rgb_size=16", "--flow_size=16", "--pairs=2", "--segments=3",
    "--width=4", "--blocks=0", "--rgb_weights=none", "--fusion_epochs=2",
    "--fusion_batch=4", "--fusion_rate=1e-2", "--fusion_dropout=0",
    *(f"--{stream}_{setting}" for stream in ("rgb", "flow") for setting in (
        "epochs=1", "batch=4", "rate=1e-2", "segments=2", "dropout=0")),
]  # fmt: skip


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(data, out, config=None, *more):
    """Start train.py; `config` is its TF_CONFIG."""
    strategy = "multi_worker" if config else "one_device"
    environment = {"TF_CONFIG": json.dumps(config)} if config else {}
    command = ["train.py", "--data", data, "--out", out, *SETTINGS,
               f"--strategy={strategy}", *more]  # fmt: skip
    return Forked(*command, **environment)


def start_workers(data, out, *more):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return [
        start(data, out, {"cluster": {"worker": addresses},
                          "task": {"type": "worker", "index": index}}, *more)
        for index in range(2)
    ]  # fmt: skip


def until(found, seconds=240):
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_two_workers_are_one_and_a_killed_one_ends_the_other(dataset, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out"
    one = start(dataset, alone)
    assert one.wait(500) == 0, one.stderr[-3000:]

    workers = start_workers(dataset, out, "--checkpoint_seconds=0")
    try:
        until(lambda: list(out.glob("checkpoints/rgb/*-step-*.keras")))
        workers[1].kill()  # SIGKILL
        workers[1].wait()
        assert workers[0].wait(150) == 1
        said = workers[0].stderr
        assert said.count("another worker of this training ended") == 1, said[-3000:]
        assert "Traceback" not in said

        workers = start_workers(dataset, out, "--checkpoint_seconds=0")
        for worker in workers:
            assert worker.wait(500) == 0, worker.stderr[-3000:]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert (out / "checkpoints" / "model.keras").exists()
    rows = [pd.read_csv(path / "history.csv") for path in (alone, out)]
    assert rows[1]["stage"].tolist() == ["rgb", "flow", "fusion", "fusion"]
    for name in rows[0].columns.drop(["stage", "seconds"]):
        assert rows[1][name].tolist() == pytest.approx(rows[0][name], abs=1e-5), name


def test_workers_that_read_different_checkpoints_do_not_train_on(
    dataset, tmp_path, monkeypatch
):
    asked = []

    def others(_, number):
        asked.append(number)
        return False

    monkeypatch.setattr(TensorFlowEngine, "agree", others)
    training = small_training(stages=("rgb",))
    with pytest.raises(UserError, match="same checkpoint.*epoch-0000.keras"):
        train(dataset, tmp_path / "run", small_model(), training)
    assert asked == [0]


def test_a_broken_configuration_is_told(monkeypatch):
    good = {"cluster": {"worker": ["a:1", "b:2"]},
            "task": {"type": "worker", "index": 1}}  # fmt: skip
    monkeypatch.setenv("TF_CONFIG", json.dumps(good))
    assert Workers.from_environment() == Workers(("a:1", "b:2"), 1)
    chief = {**good, "cluster": {"chief": ["c:1"], **good["cluster"]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(chief))
    assert Workers.from_environment().index == 2

    def changed(job=None, **task):
        return {"cluster": job or good["cluster"], "task": {**good["task"], **task}}

    for config, why in (
        (changed(index=2), "the task's index is 2"),
        (changed(type="chief"), "of which there is none"),
        (changed({"worker": ["a:1"], "ps": ["b:1"]}), "there are jobs ps"),
        (changed({"worker": ["a:1", "a:1"]}), "occurs twice"),
        (changed({"worker": ["a:1", "b"]}), "b has no port"),
        ({"cluster": {}}, "task"),
        (7, "TypeError"),
    ):
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        with pytest.raises(UserError, match=f"expects TF_CONFIG such as .*{why}"):
            Workers.from_environment()
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(UserError, match="Received: none"):
        meet_workers()
