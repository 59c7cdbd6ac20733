"""The Open Inference Protocol's binary form, and PyTriton's errors."""

import json

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.client.open_inference import pack, unpack
from stfn_keras.serving.client.transport import ServerError, open_transport


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
