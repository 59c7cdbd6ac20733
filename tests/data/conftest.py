"""A local S3 server for the tests of remote data."""

import os

import pytest


@pytest.fixture(scope="session")
def s3_server():
    """Address of an S3 server of this process; skips where moto is missing."""
    server_module = pytest.importorskip("moto.server", reason="needs the extra [test]")
    pytest.importorskip("s3fs", reason="needs the extra [remote]")
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server, monkeypatch, tmp_path):
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
