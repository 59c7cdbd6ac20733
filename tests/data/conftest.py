"""A local S3 server for the tests of remote data."""

import os
import subprocess
import sys

import pytest

# In a process of its own: native clients keep Python's lock while they wait for it.
SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_server():
    """Address of a local S3 server that ends with us; skips where moto is missing."""
    pytest.importorskip("moto", reason="needs the extra [test]")
    pytest.importorskip("s3fs", reason="needs the extra [remote]")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        yield server.stdout.readline().decode().strip()
        server.stdin.close()


@pytest.fixture
def bucket(s3_server, monkeypatch):
    """Address of a bucket on it, with credentials in the environment."""
    import fsspec
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = fsspec.filesystem("s3")
    if not system.exists("tests"):
        system.mkdir("tests")
    yield "s3://tests"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def upload(tmp_path):
    """Upload a dataset directory, as the preparation does."""
    import shutil

    from stfn_keras import storage

    def uploaded(folder, address):
        copy = shutil.copytree(folder, tmp_path / "uploaded")
        for file in sorted(copy.iterdir()):
            storage.put(file, storage.join(address, file.name))
        return address

    return uploaded
