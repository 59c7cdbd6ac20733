"""Servers before they serve: ports, packages that are missing, what they log."""

import logging
import socket
import sys

import pytest
from absl import flags as absl_flags
from parsed import call

from stfn_keras.errors import UserError
from stfn_keras.serving.servers import kserve, prediction_service, triton
from stfn_keras.serving.servers.ports import check_free

LOOPBACK = "127.0.0.1"
FLAGS = [
    (prediction_service, "port"),
    (kserve, "http_port"),
    (triton, "http_port"),
    (triton, "grpc_port"),
]


@pytest.fixture
def taken():
    """A port on which somebody listens, on every address."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104
        yield server.getsockname()[1]


@pytest.mark.parametrize(("server", "flag"), FLAGS)
@pytest.mark.parametrize("port", [99_999, -1])
def test_a_port_that_is_none_is_refused(server, flag, port):
    """gRPC took 99999 for 34463."""
    with pytest.raises(absl_flags.IllegalFlagValueError, match=f"--{flag}={port}"):
        call(server, "--model=none", f"--{flag}={port}")


@pytest.mark.parametrize(("server", "flag"), FLAGS)
def test_a_port_in_use_is_refused_before_anything_is_loaded(server, flag, taken):
    """Triton told it by 69 lines, KServe after it said that it serves."""
    told = f"cannot listen on .*:{taken}, which is in use: choose another --{flag}"
    others = {"http_port": "grpc_port", "grpc_port": "http_port"}
    rest = [f"--{others[flag]}={_free()}"] if server is triton else []
    call(server, "--model=none", f"--{flag}={taken}", *rest, error=told)


def test_a_port_that_is_free_or_was_left_a_moment_ago_is_taken():
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)), server.accept()[0] as end:
            end.shutdown(socket.SHUT_RDWR)  # this side closes first, and waits
    check_free(LOOPBACK, {"port": port})
    check_free("localhost", {"port": 0})


def test_one_port_for_two_protocols_and_addresses_of_others_are_refused():
    with pytest.raises(UserError, match="--http_port and --grpc_port must differ"):
        port = _free()
        check_free(LOOPBACK, {"http_port": port, "grpc_port": port})
    for address in ("192.0.2.1", "no such host"):
        with pytest.raises(UserError, match="must be an address of this machine"):
            check_free(address, {"port": _free()})


@pytest.mark.parametrize(
    ("server", "module", "told"),
    [
        (kserve, "kserve", r"of its own, pip install -e \. kserve==0\.21\.0"),
        (triton, "pytriton", r"of its own, pip install -e \. nvidia-pytriton==0\.7\.0"),
    ],
)
def test_a_missing_package_is_named_with_its_release(server, module, told, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "argv", ["server"])
    rest = [f"--grpc_port={_free()}"] if server is triton else []
    call(server, "--model=none", f"--http_port={_free()}", *rest, error=told)


def test_a_refused_request_is_one_line_of_the_log(caplog):
    logger = logging.getLogger("a server's")
    shorten = kserve.OneLine(ValueError)
    logger.addFilter(shorten)
    try:
        logger.error("Exception:", exc_info=ValueError("flow_jpeg:\nno 100 % JPEG"))
        logger.error("Exception:", exc_info=RuntimeError("a fault of the server"))
    finally:
        logger.removeFilter(shorten)
    refused, fault = caplog.records
    assert refused.getMessage() == "refused: flow_jpeg: no 100 % JPEG"
    assert refused.exc_info is None and refused.levelname == "WARNING"
    assert fault.exc_info


def _free() -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return free.getsockname()[1]
