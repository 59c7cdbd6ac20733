"""A package that is missing is named as it is installed: from the checkout."""

import importlib
import sys

import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.runtimes.tensorrt import MODULES, _find_cuda, find_tensorrt


def _grpc_client():
    importlib.import_module("stfn_keras.serving.client.tfs_grpc")


def _grpc_server():
    from stfn_keras.serving.servers.prediction_service import make_server

    make_server(None, "stfn", "127.0.0.1:0", 1)


@pytest.mark.parametrize(
    ("use", "modules", "extra"),
    [
        (find_tensorrt, MODULES, "tensorrt"),
        (_find_cuda, ["cuda.bindings.runtime"], "tensorrt"),
        (_grpc_client, ["tensorflow_serving.apis"], "serving"),
        (_grpc_server, ["tensorflow_serving.apis"], "serving"),
    ],
)
def test_what_to_install_is_in_the_checkout(use, modules, extra, monkeypatch):
    """No registry has a package called stfn-keras."""
    monkeypatch.delitem(sys.modules, "stfn_keras.serving.client.tfs_grpc", False)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"in the checkout, pip install '\.\[{extra}]"):
        use()
