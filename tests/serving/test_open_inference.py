"""The Open Inference Protocol's binary form, and PyTriton's errors."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.client import Client
from stfn_keras.serving.client.open_inference import pack, unpack
from stfn_keras.serving.client.transport import (
    ServerError,
    Unavailable,
    open_transport,
)


def test_open_inference_packs_and_unpacks(good):
    """The form of an answer is that of a request, with outputs for inputs."""
    arrays = {
        **good[0].inputs["serve_jpeg"],
        "flow": good[0].inputs["serving_default"]["flow"],
        "height": np.array([36], np.int32),
        "scores": np.array([[0.25, 0.75]], np.float32),
    }
    header, data = pack(arrays)
    answer = json.dumps({"outputs": json.loads(header)["inputs"]}).encode()
    found = unpack(answer + data, len(answer))
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    plain = {
        "name": "labels",
        "shape": [1, 2],
        "datatype": "BYTES",
        "data": ["a", "b"],
    }
    answer = json.dumps({"outputs": [plain]}).encode()
    assert unpack(answer, len(answer))["labels"].tolist() == [[b"a", b"b"]]
    with pytest.raises(UserError, match="sent no outputs"):
        unpack(b"<html>", 6)


def test_open_inference_packs_nothing_empty():
    with pytest.raises(UserError, match=r"rgb must hold .* Received: shape \(0, 3\)"):
        pack({"rgb": np.zeros((0, 3), np.uint8)})


def test_a_pytriton_traceback_is_told_in_its_last_words(monkeypatch):
    from stfn_keras.serving.client import open_inference

    def post(*_):
        raise ServerError(
            "500",
            "Traceback (most recent call last):\n  File ...\npytriton.exceptions."
            "PyTritonInvalidOperationError: rgb_jpeg: expected JPEG images\n\n",
        )

    monkeypatch.setattr(open_inference, "post", post)
    transport = open_transport("v2+http://127.0.0.1:1", "stfn")
    with pytest.raises(ServerError, match=r"\(500\): rgb_jpeg: expected JPEG images$"):
        transport.call("serve_jpeg", {}, 1.0)


def test_a_model_that_is_still_loading_is_awaited():
    """Triton calls it unknown, as it does one that it will never have."""
    left, loaded = [2], [0]  # questions until it is ready; then, of what it has

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802 (the standard library's name)
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v2/repository/index":
                named = [{"name": "stfn_fuse"}] if loaded[0] > 1 else []
                loaded[0] += 1
                self._say(200, json.dumps(named).encode())
                return
            known = self.path.startswith("/v2/models/stfn_fuse/") and loaded[0] > 1
            header = json.dumps({"outputs": []} if known else {"error": "unknown"})
            self._say(200 if known else 404, header.encode())

        def do_GET(self):  # noqa: N802
            assert self.path == "/v2/health/ready"
            self._say(400 if left[0] else 200, b"")
            left[0] = max(left[0] - 1, 0)

        def _say(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"v2+http://127.0.0.1:{server.server_port}"
        with Client.open(address, name="stfn", retries=0) as client:
            with pytest.raises(Unavailable, match="is not ready: unknown"):
                client.call("fuse", {})
        with Client.open(address, name="stfn") as client:
            assert client.call("fuse", {}) == {}
            with pytest.raises(ServerError, match=r"\(404\): unknown"):
                client.call("other", {})  # a ready server's word is final
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
