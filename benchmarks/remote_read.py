"""Reading shards from a local S3 server: cold and warm cache against a local folder.

python benchmarks/remote_read.py --shards 8 --megabytes 20

Prints MB/s of records, not decoded, in one process; medians over the rounds. Needs the
extra [test]. With tensorflow-io (the extra [io]) TensorFlow reads the server itself.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags as absl_flags

from stfn_keras import flags, storage
from stfn_keras.config import FLOW_BOUND
from stfn_keras.data import direct
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import RecordWriter
from stfn_keras.data.remote import CacheConfig
from stfn_keras.data.source import open_data, open_source
from stfn_keras.data.stream import SHARDS_AT_ONCE, records
from stfn_keras.files import sha256

RECORD = 400_000  # bytes, about a video of 25 snippets
SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


def make(folder: Path, count: int, megabytes: int) -> Manifest:
    """Write shards of random records."""
    draws, shards = np.random.default_rng(0), []
    for number in range(count):
        path = folder / f"bench-r-{number:05d}-of-{count:05d}.tfrecord"
        videos = megabytes * 1_000_000 // RECORD
        with path.open("wb") as file:
            writer = RecordWriter(file)
            for _ in range(videos):
                writer.write(draws.bytes(RECORD))
        shards.append(Shard(path.name, "r", videos, path.stat().st_size, sha256(path)))
    manifest = Manifest(
        schema=1, name="bench", protocol="csv", labels=("a",),
        videos=sum(shard.videos for shard in shards), absent=0, shards=tuple(shards),
        flow={"dis": {"bound": FLOW_BOUND, "pairs": 5}}, layout="snippet", snippets=25,
        rgb_per_snippet=1, size="256", flip=True,
    )  # fmt: skip
    manifest.save(folder)
    return manifest


def upload(folder: Path, address: str) -> None:
    """Put every file there, and keep it here too."""
    import fsspec

    fsspec.filesystem("s3").mkdir(storage.join(address, "").split("/")[2])
    for file in sorted(folder.iterdir()):
        copy = file.with_suffix(".copy")
        shutil.copyfile(file, copy)
        storage.put(copy, storage.join(address, file.name))


def speed(folder: Path) -> float:
    """MB/s of reading every record once, as a training epoch does."""
    manifest = Manifest.load(folder)
    source = open_source(folder, manifest, 1, "r", "dis", {"rgb": 224})
    began = time.perf_counter()
    read = 0
    for sizes in records(source, cycle=SHARDS_AT_ONCE).map(tf.strings.length).batch(16):
        read += int(tf.reduce_sum(sizes))
    return read / 1e6 / (time.perf_counter() - began)


def main(_: Sequence[str]) -> None:
    """Measure every way of reading in turn, several rounds."""
    values = absl_flags.FLAGS
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as work,
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        os.environ |= {
            "AWS_ENDPOINT_URL": server.stdout.readline().strip(),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        folder, cache = Path(work) / "local", Path(work) / "cache"
        folder.mkdir()
        make(folder, values.shards, values.megabytes)
        upload(folder, "s3://bench/set")
        config = CacheConfig(str(cache))
        speed(folder)  # warms the local files up, as the upload did the server
        for _ in range(values.rounds):
            found.setdefault("local folder", []).append(speed(folder))
            if direct.reads("s3://bench/set"):
                far = open_data("s3://bench/set", config)
                found.setdefault("tensorflow-io", []).append(speed(far))
                continue
            shutil.rmtree(cache, ignore_errors=True)
            far = open_data("s3://bench/set", config)
            found.setdefault("cache, cold", []).append(speed(far))
            found.setdefault("cache, warm", []).append(speed(far))
        server.stdin.close()
    total = values.shards * values.megabytes
    print(f"{total} MB in {values.shards} shards:")
    for name, speeds in found.items():
        each = ", ".join(f"{s:.0f}" for s in speeds)
        print(f"{name:<16}{statistics.median(speeds):7.0f} MB/s ({each})")


if __name__ == "__main__":
    absl_flags.DEFINE_integer("shards", 8, "shards", lower_bound=1)
    absl_flags.DEFINE_integer("megabytes", 20, "of each shard", lower_bound=1)
    absl_flags.DEFINE_integer("rounds", 3, "rounds", lower_bound=1)
    flags.run(main)
