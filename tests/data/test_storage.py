"""Files behind addresses: a local S3 server, memory, a read-only web server."""

import errno
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

from stfn_keras import storage
from stfn_keras.errors import UserError

pytest.importorskip("s3fs", reason="needs the extra [remote]")


@pytest.fixture(params=["local", "file", "memory", "s3"])
def folder(request, tmp_path):
    if request.param == "local":
        (tmp_path / "set").mkdir()
        return str(tmp_path / "set")
    if request.param == "file":
        return f"file://{tmp_path}/set"
    if request.param == "memory":
        return f"memory://{tmp_path.name}/set"
    bucket = request.getfixturevalue("bucket")
    return f"{bucket}/{tmp_path.name}/set"


def test_files_come_and_go(folder, tmp_path):
    file = storage.join(folder, "a.tfrecord")
    assert storage.size(file) is None
    assert storage.names(folder) == []
    assert storage.sizes(folder) == {}
    part = tmp_path / "part"
    part.write_bytes(b"12345")
    storage.put(part, file)
    assert not part.exists()
    storage.write_text(storage.join(folder + "/", "b ü.json"), "{}ü\n")
    assert storage.read_text(storage.join(folder, "b ü.json")) == "{}ü\n"
    assert storage.size(file) == 5
    assert storage.names(folder) == ["a.tfrecord", "b ü.json"]
    assert storage.sizes(folder) == {"a.tfrecord": 5, "b ü.json": 5}
    storage.get(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"12345"
    part.write_bytes(b"other")
    storage.put(part, file)  # written over
    storage.get(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"other"
    storage.delete(file)
    assert storage.size(file) is None
    assert storage.names(folder) == ["b ü.json"]


def test_folders_are_listed_and_have_no_size(folder):
    if not storage.is_remote(folder):
        (Path(folder) / ".work").mkdir()
    storage.write_text(storage.join(folder, ".work/a.json"), "{}")
    assert storage.names(folder) == [".work"]
    assert storage.sizes(folder) == {}
    assert storage.names(storage.join(folder, ".work")) == ["a.json"]


def test_what_is_missing_is_not_found(folder, tmp_path):
    missing = storage.join(folder, "missing")
    with pytest.raises(FileNotFoundError):
        storage.read_text(missing)
    with pytest.raises(FileNotFoundError):
        storage.get(missing, tmp_path / "copy")


def test_a_missing_bucket_is_named_when_written(bucket, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(b"1")
    for write in (
        lambda: storage.put(part, "s3://no-such-bucket/a"),
        lambda: storage.write_text("s3://no-such-bucket/a", "1"),
    ):
        with pytest.raises(UserError, match=r"s3://no-such-bucket/a.*create the bucke"):
            write()
    assert part.exists()
    assert storage.size("s3://no-such-bucket/a") is None


def test_missing_credentials_are_said(bucket, monkeypatch):
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(UserError, match=r"cannot be read: .*credentials; log in"):
        storage.read_text(f"{bucket}/a")
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_unreachable_end_point_is_said(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(UserError, match=r"cannot be read: .*; check the network"):
        storage.size(f"{bucket}/a")
    s3fs.S3FileSystem.clear_instance_cache()


def test_fsspecs_own_configuration_is_respected(bucket, monkeypatch):
    import fsspec.config
    import s3fs

    storage.write_text(f"{bucket}/configured", "1")
    address = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setitem(fsspec.config.conf, "s3", address)
    s3fs.S3FileSystem.clear_instance_cache()
    assert storage.read_text(f"{bucket}/configured") == "1"
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_unknown_scheme_says_what_to_install():
    for location in ("nosuchscheme://a/b", "gs-typo://a/b"):
        with pytest.raises(UserError, match=r"pip install '\.\[remote\]'"):
            storage.size(location)


def test_a_web_server_is_read_and_not_written(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path)
    )
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert storage.read_text(f"{address}/a.txt") == "text"
        with pytest.raises(FileNotFoundError):
            storage.read_text(f"{address}/b.txt")
        with pytest.raises(UserError, match="cannot be written"):
            storage.write_text(f"{address}/c.txt", "1")
        server.shutdown()


def test_a_file_from_another_file_system_is_copied(tmp_path, monkeypatch):
    part = tmp_path / "part"
    part.write_bytes(b"1")

    def other_device(self, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "replace", other_device)
    storage.put(part, str(tmp_path / "whole"))
    assert (tmp_path / "whole").read_bytes() == b"1"
    assert not part.exists()


def test_a_local_place_that_cannot_be_written_is_named(tmp_path):
    part = tmp_path / "part"
    part.write_bytes(b"1")
    with pytest.raises(UserError, match=r"cannot write .*nowhere/a: No such"):
        storage.put(part, str(tmp_path / "nowhere" / "a"))


def test_an_upload_that_arrives_short_is_an_error(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def short(self, local, path, **_):
        self.pipe_file(path, Path(local).read_bytes()[:-1])

    monkeypatch.setattr(MemoryFileSystem, "put_file", short)
    part = tmp_path / "part"
    part.write_bytes(b"12345")
    with pytest.raises(UserError, match="4 of 5 bytes arrived"):
        storage.put(part, "memory://short/a")
    assert part.exists()


def test_a_file_that_grows_in_place_is_renamed_there(tmp_path, monkeypatch):
    """Behind file://, a write that breaks off leaves the old file, and no other."""
    from fsspec.implementations.local import LocalFileSystem

    address = f"file://{tmp_path}/set/a.json"
    storage.write_text(address, "old")
    part = tmp_path / "part"
    part.write_bytes(b"12345")

    def broken(path):
        Path(path).write_bytes(b"12")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(LocalFileSystem, "put_file", lambda _, a, path: broken(path))
    monkeypatch.setattr(LocalFileSystem, "pipe_file", lambda _, path, a: broken(path))
    for write in (
        lambda: storage.put(part, address),
        lambda: storage.write_text(address, "new"),
    ):
        with pytest.raises(UserError, match=r"a.json cannot be written: .*output err"):
            write()
        assert storage.names(f"file://{tmp_path}/set") == ["a.json"]
        assert storage.read_text(address) == "old"
    assert part.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_local_disk_is_no_fault_of_the_address(folder, tmp_path):
    file = storage.join(folder, "a")
    storage.write_text(file, "12345")
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        storage.get(file, full)


def test_a_local_path_that_cannot_be_written_is_no_fault_of_the_address(
    folder, tmp_path
):
    file = storage.join(folder, "a")
    storage.write_text(file, "12345")
    with pytest.raises(IsADirectoryError):
        storage.get(file, tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        storage.get(file, tmp_path / "nowhere" / "a")
