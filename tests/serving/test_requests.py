"""Promise 12: a bad request gets a clear error, and the next good one its answer."""

import base64
import json

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.client import Client
from stfn_keras.serving.client.transport import ServerError
from stfn_keras.serving.load import load, named
from stfn_keras.serving.malformed import ANY, JPEG, NUMBERS, malformed
from stfn_keras.serving.servers.checks import Refused
from stfn_keras.serving.servers.json_form import from_json, to_json

CASES = {
    "a missing stream": ("missing", "rgb_jpeg", "rgb_jpeg is missing"),
    "rank": ("rank", "rgb_jpeg", r"rgb_jpeg must be string \(batch, 3\)"),
    "T": ("length", "flow_jpeg", r"flow_jpeg must be string \(batch, 3\).*\(1, 4\)"),
    "type": ("type", "rgb", "rgb must be uint8 .* Received: float32"),
    "empty batch": ("empty", "rgb_jpeg", "expected at least one sample"),
    "NaN": ("not finite", "rgb_features", "rgb_features: must be finite"),
    "not JPEG": ("PNG", "flow_jpeg", "flow_jpeg: expected JPEG images"),
    "cut JPEG": ("cut", "rgb_jpeg", "rgb_jpeg: expected whole JPEG images"),
    "a decode bomb": ("huge", "rgb_jpeg", "rgb_jpeg: expected at most .* pixels"),
    "another size": ("other size", "flow_jpeg", "flow_jpeg: expected mosaics of 2"),
    "batches": ("batch", "flow_jpeg", "expected as many samples as"),
}


@pytest.mark.parametrize(("kind", "name", "told"), CASES.values(), ids=CASES.keys())
def test_a_bad_request_is_refused_by_name(served, good, kind, name, told):
    signature = next(s for s, inputs in good[0].inputs.items() if name in inputs)
    change = {**ANY, **NUMBERS, **JPEG}[kind]
    bad = change(good[0].inputs[signature], name, np.random.default_rng(1))
    with pytest.raises(Refused, match=told):
        served.answer(signature, bad)
    scores = served.answer(signature, good[0].inputs[signature])["scores"]
    np.testing.assert_array_equal(scores, good[0].scores[signature])


def test_a_thousand_random_bad_requests(served, good):
    kinds = set()
    for number in range(1000):
        bad = malformed(good[0].inputs, np.random.default_rng(number))
        kinds.add(bad.kind)
        with pytest.raises(Refused) as told:
            served.answer(bad.signature, bad.inputs)
        assert named(UserError(str(told.value)), bad.named), bad.kind
        if number % 100 == 0:
            for signature, inputs in good[1].inputs.items():
                found = served.answer(signature, inputs)["scores"]
                np.testing.assert_array_equal(found, good[1].scores[signature])
    assert kinds == {*ANY, *NUMBERS, *JPEG}


def test_an_error_that_names_the_input_elsewhere_does_not_count():
    told = ServerError("400", "flow_jpeg: expected as many samples as rgb_jpeg")
    assert named(told, ("flow_jpeg",))
    assert not named(told, ("rgb_jpeg",))
    assert not named(told, ("flow",))
    assert named(told, ("rgb_jpeg",), begins=False)
    # The client's own words before it do not count either.
    assert not named(UserError(str(told)), ("flow_jpeg",))


def test_scores_do_not_depend_on_neighbours(served, good):
    for signature in good[0].inputs:
        both = {
            name: np.concatenate([request.inputs[signature][name] for request in good])
            for name in good[0].inputs[signature]
        }
        together = served.answer(signature, both)["scores"]
        alone = np.concatenate([request.scores[signature] for request in good])
        np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("over", ["grpc", "rest"])
def test_mixed_requests_of_clients_at_a_time(request, good, over):
    """In small what benchmarks/load.py does to the real servers."""
    address, _ = request.getfixturevalue(f"over_{over}")
    found = load(
        lambda: Client.open(address, name="stfn"),
        good, requests=60, clients=4, rest=over == "rest", begins=over == "rest",
    )  # fmt: skip
    assert found.sound, found.faults
    assert found.answered + found.refused == 60
    assert min(found.answered, found.refused) > 10


def test_json_is_read_as_tensorflow_serving_writes_it(served, good):
    specs = served.specs("serve_jpeg")
    inputs = good[0].inputs["serve_jpeg"]
    listed = {
        name: [[{"b64": base64.b64encode(jpeg).decode()} for jpeg in array[0]]]
        for name, array in inputs.items()
    }
    found = from_json(json.loads(json.dumps(listed)), specs)
    for name, array in inputs.items():
        assert found[name].tolist() == array.tolist()
    outputs = json.loads(json.dumps(to_json(served.answer("serve_jpeg", found))))
    assert sorted(outputs["labels"][0]) == ["fall", "rise", "wälk"]


NESTED = None
for _ in range(200):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7, "must be a list of videos"),
        ([7], "must be a list of videos"),
        ([["text"]], r'rgb_jpeg\[0, 0\] must be {"b64"'),
        ([[{"b64": 7}]], r"rgb_jpeg\[0, 0\] must be"),
        ([[{"b64": "*"}]], r"rgb_jpeg\[0, 0\] is no base64"),
        ([[{"b64": "é"}]], r"rgb_jpeg\[0, 0\] is no base64"),
        ([[{"b64": ""}], []], "as many images for each video"),
        (NESTED, r"rgb_jpeg\[0, 0\] must be"),
    ],
    ids=str,
)
def test_json_that_is_no_images_is_refused(served, value, told):
    with pytest.raises(Refused, match=told):
        from_json({"rgb_jpeg": value}, served.specs("serve_jpeg"))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1.5], "must be numbers for uint8"),
        (["a"], "must be numbers for uint8"),
        ([[1], [2, 3]], "must be numbers for uint8"),
        ([True], "must be numbers for uint8"),
        ([256, -1], "must hold numbers from 0 to 255. Received: -1 to 256"),
        ([10**30], "must be numbers for uint8"),
        ({"a": 1}, "must be numbers for uint8"),
        (None, "must be numbers for uint8"),
        (NESTED, "must be numbers for uint8"),
    ],
    ids=str,
)
def test_json_that_is_no_pixels_is_refused(served, value, told):
    with pytest.raises(Refused, match=told):
        from_json({"rgb": value}, served.specs("serving_default"))


def test_json_that_is_no_request_is_refused(served):
    for inputs in (None, [], "text", 7):
        with pytest.raises(Refused, match="inputs must be an object"):
            from_json(inputs, served.specs("fuse"))
    for signature in ("nothing", None, ["fuse"]):
        with pytest.raises(Refused, match="signature_name must be one of"):
            served.specs(signature)
    found = from_json({"more": [[1]]}, served.specs("fuse"))
    with pytest.raises(Refused, match="is missing"):
        served.answer("fuse", found)


def test_a_damaged_model_is_not_served(small_stfn, tmp_path):
    import shutil

    from stfn_keras.serving.servers.model import ServedModel

    copy = tmp_path / "1"
    shutil.copytree(small_stfn, copy)
    path = copy / "variables" / "variables.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="missing or damaged"):
        ServedModel(copy)


def _protos():
    """Tensors that are none, by what is wrong with them."""
    import tensorflow as tf

    whole = np.zeros((1, 3, 16, 16, 3), np.uint8)
    cut, vast, unknown, negative, typeless, texts = (
        tf.make_tensor_proto(whole) for _ in range(6)
    )
    cut.tensor_content = b"1234"
    vast.tensor_shape.dim[0].size = 10**12  # of a batch, in one value
    vast.tensor_content, vast.int_val[:] = b"", [0]
    unknown.tensor_shape.unknown_rank = True
    negative.tensor_shape.dim[0].size = -1
    typeless.dtype = 99
    texts.dtype = tf.string.as_datatype_enum
    return {"cut": cut, "vast": vast, "unknown rank": unknown, "negative": negative,
            "typeless": typeless, "texts": texts}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("cut", "rgb must hold the values of uint8"),
        ("vast", "rgb must have at most 64000000 bytes"),
        ("unknown rank", "rgb must be uint8"),
        ("negative", "rgb must be uint8"),
        ("typeless", "rgb must be uint8 .* Received: no type"),
        ("texts", "rgb must be uint8 .* Received: string"),
        ("missing", "rgb is missing"),
    ],
)
def test_a_tensor_that_is_none_is_refused_by_name(served, good, kind, told):
    import tensorflow as tf

    from stfn_keras.serving.servers.tensors import from_protos

    specs = served.specs("serving_default")
    views = good[0].inputs["serving_default"]
    request = {name: tf.make_tensor_proto(array) for name, array in views.items()}
    found = from_protos(request, specs, 64_000_000)
    assert all((found[name] == views[name]).all() for name in views)
    request["rgb"] = _protos().get(kind)
    if kind == "missing":
        del request["rgb"]
    with pytest.raises(Refused, match=f"^{told}"):
        from_protos(request, specs, 64_000_000)


def test_such_a_tensor_is_an_invalid_argument(served, good):
    grpc = pytest.importorskip("grpc", reason="needs the extra [serving]")
    apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    from tensorflow_serving.apis.prediction_service_pb2_grpc import (
        PredictionServiceStub,
    )

    from stfn_keras.serving.servers.prediction_service import make_server

    request = apis.PredictRequest()
    request.model_spec.name = "stfn"
    request.inputs["rgb"].CopyFrom(_protos()["cut"])
    request.inputs["flow"].CopyFrom(_protos()["cut"])
    server, port = make_server(served, "stfn", "127.0.0.1:0", 1)
    server.start()
    try:
        with (
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            PredictionServiceStub(channel).Predict(request, timeout=30)
    finally:
        server.stop(None).wait()
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith("flow must be uint8")
