"""A server under 1,000 good and malformed requests of 8 clients at a time.

    python benchmarks/load.py --model models/stfn --server kserve \
        --python .venv-kserve/bin/python VIDEO VIDEO ...

Starts KServe's or Triton's server on loopback by that Python, which has it installed
(docs/serving.md), sends the requests, and prints what came of them and the server's
memory: the resident MB of its processes before, after, and a while later. Exits 1 if a
good request failed or got other scores, or a malformed one no error naming its input.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.client import Client
from stfn_keras.serving.folder import CONFIG, EXTRA, newest_version, read_config
from stfn_keras.serving.load import Good, load
from stfn_keras.serving.malformed import Arrays
from stfn_keras.serving.preparer import Preparer

HOST = "127.0.0.1"
# The model that is there last says that all are.
READY = {"kserve": "v2/models/load/ready", "triton": "v2/models/load_fuse/ready"}
SCHEME = {"kserve": "http", "triton": "v2+http"}
WARM_UP = 100  # requests before memory is read: buffers grow to their size
REST = 20  # seconds until memory is read again


def good_requests(folder: Path, videos: Sequence[str]) -> list[Good]:
    """Requests for every signature of the model, with its own scores."""
    from stfn_keras.serving.servers.model import ServedModel

    served, preparer = ServedModel(folder), Preparer(read_config(folder))
    draws, made = np.random.default_rng(0), []
    for video in videos:
        encoded = preparer.encoded(preparer.prepare(Path(video)))
        inputs: dict[str, Arrays] = {
            "serve_jpeg": {
                name: np.array([value], object if name.endswith("_jpeg") else np.int32)
                for name, value in encoded.items()
            }
        }
        if "fuse" in served.inputs:
            inputs["fuse"] = {
                name: draws.normal(size=(1, *spec.shape[1:])).astype(np.float32)
                for name, spec in served.inputs["fuse"].items()
            }
        scores = {name: served.answer(name, given)["scores"]
                  for name, given in inputs.items()}  # fmt: skip
        made.append(Good(inputs, scores))
    return made


def start(values: absl_flags.FlagValues) -> subprocess.Popen:
    """Start the server and wait until it is ready.

    Raises:
        UserError: It ended, or took more than two minutes.
    """
    log = Path(values.log).open("w")
    server = subprocess.Popen(  # noqa: S603
        [values.python, "-m", f"stfn_keras.serving.servers.{values.server}",
         f"--model={values.model}", "--name=load", f"--http_port={values.port}"],
        stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    ready = f"http://{HOST}:{values.port}/{READY[values.server]}"
    for _ in range(240):
        try:
            with urllib.request.urlopen(ready, timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return server
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        if server.poll() is not None:
            break
    raise UserError(f"the server did not start: {values.log} says why")


def memory(server: subprocess.Popen) -> float:
    """Resident MB of a process and its children."""
    process = psutil.Process(server.pid)
    tree = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in tree) / 1e6


def main(argv: Sequence[str]) -> None:
    """Load the server and print what came of it."""
    values = absl_flags.FLAGS
    if len(argv) < 3:
        raise UserError("name two videos or more, whose scores differ")
    import_keras_quietly()
    folder = newest_version(Path(values.model))
    good = good_requests(folder, argv[1:])
    server = start(values)
    address = f"{SCHEME[values.server]}://{HOST}:{values.port}"
    rest = values.server == "kserve"

    def open_client() -> Client:
        return Client.open(address, folder / EXTRA / CONFIG, "load", timeout=300)

    levels, faults = [], []
    try:
        load(open_client, good, WARM_UP, values.clients, rest, seed=values.rounds)
        levels.append(memory(server))
        for seed in range(values.rounds):
            began = time.perf_counter()
            found = load(open_client, good, values.requests, values.clients, rest, seed)
            seconds = time.perf_counter() - began
            levels.append(memory(server))
            faults += found.faults
            print(
                f"{values.server}, {values.clients} clients, {seconds:.0f} s: {found}"
            )
        time.sleep(REST)
        levels.append(memory(server))
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
    each = ", ".join(f"{level:.0f}" for level in levels)
    print(f"resident MB before, after each round and {REST} s later: {each}")
    for fault in faults[:10]:
        print(f"fault: {fault}", file=sys.stderr)
    if faults:
        raise UserError(f"{len(faults)} faults")


if __name__ == "__main__":
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_enum("server", "kserve", list(READY), "which to start")
    absl_flags.DEFINE_string("python", sys.executable, "that has the server installed")
    absl_flags.DEFINE_integer("port", 8085, "of the server")
    absl_flags.DEFINE_integer("requests", 1000, "to send", lower_bound=1)
    absl_flags.DEFINE_integer("rounds", 1, "of so many requests", lower_bound=1)
    absl_flags.DEFINE_integer("clients", 8, "at a time", lower_bound=1)
    absl_flags.DEFINE_string("log", "server.log", "where the server's output goes")
    flags.run(main, positional=True)
