"""The client, against stand-ins for TensorFlow Serving on its own protos and JSON."""

import json
import shutil

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.serving.client import Client
from stfn_keras.serving.client.retry import retried
from stfn_keras.serving.client.transport import (
    ServerError,
    Unavailable,
    open_transport,
)


@pytest.fixture(params=["grpc", "rest"])
def client(request, small_stfn):
    address, _ = request.getfixturevalue(f"over_{request.param}")
    with Client.open(address, small_stfn / "assets.extra/config.json") as opened:
        yield opened


def test_every_signature_answers_as_the_model_does(client, good, served):
    for request in good:
        views = request.inputs["serving_default"]
        segment = {stream: array[:, 0] for stream, array in views.items()}
        for signature, inputs in {**request.inputs, "features": segment}.items():
            found = client.call(signature, inputs)
            for name, expected in served.answer(signature, inputs).items():
                if expected.dtype == object:
                    assert found[name].tolist() == expected.tolist()
                else:
                    np.testing.assert_allclose(found[name], expected, atol=1e-6)


def test_lists_of_images_are_taken(client, good):
    request = good[0].inputs["serve_jpeg"]
    listed = {name: array.tolist() for name, array in request.items()}
    found = client.predict(listed)
    np.testing.assert_allclose(found["scores"], good[0].scores["serve_jpeg"], atol=1e-6)
    assert {label.decode() for label in found["labels"][0]} == {"fall", "rise", "wälk"}


def test_a_video_is_scored_as_predict_does(client, small_stfn, small_clip):
    from stfn_keras.serving.predictor import Predictor

    answer = client.predict_video(small_clip)
    expected = Predictor(small_stfn).predict(small_clip)
    np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)
    assert answer.top(1)[0][0] == expected.top(1)[0][0]


def test_a_network_without_rgb_is_told_the_size(small_temporal, small_clip):
    from serving.stand_in import grpc_stand_in

    from stfn_keras.serving.predictor import Predictor

    with (
        grpc_stand_in(small_temporal) as (address, _),
        Client.open(address, small_temporal / "assets.extra/config.json") as client,
    ):
        answer = client.predict_video(small_clip)
    expected = Predictor(small_temporal).predict(small_clip)
    np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)


def test_another_models_configuration_is_refused(
    over_grpc, small_stfn, tmp_path, small_clip
):
    config = json.loads((small_stfn / "assets.extra/config.json").read_text())
    config["labels"] = ["a", "b", "c"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (
        Client.open(over_grpc[0], tmp_path / "config.json", "stfn") as client,
        pytest.raises(UserError, match="--config must be the served model's"),
    ):
        client.predict_video(small_clip)


def test_what_is_no_configuration_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"kind": "something else"}')
    with pytest.raises(UserError, match="something else"):
        Client.open("localhost:8500", tmp_path / "config.json")


def test_a_client_without_configuration_predicts_no_video(small_clip):
    with (
        Client.open("http://127.0.0.1:1", name="stfn") as client,
        pytest.raises(UserError, match="--config must be"),
    ):
        client.predict_video(small_clip)
    with pytest.raises(UserError, match="--name must be"):
        Client.open("http://127.0.0.1:1")


def test_a_version_is_asked_for(over_rest, small_stfn, good):
    address, paths = over_rest
    with Client.open(address, name="stfn", version=7) as client:
        client.predict(good[0].inputs["serve_jpeg"])
    assert paths[-1] == "/v1/models/stfn/versions/7:predict"


def test_an_only_output_gets_its_name(monkeypatch):
    """TensorFlow Serving sends an only output without it: a one-stream `features`."""
    from stfn_keras.serving.client import tfs_rest

    answer = b'{"outputs": [[1.0, 2.0]]}'
    monkeypatch.setattr(tfs_rest, "post", lambda *_: (answer, {}))
    transport = open_transport("http://127.0.0.1:1", "stfn")
    found = transport.call("features", {"rgb": np.zeros((1, 16, 16, 3), np.uint8)}, 1.0)
    assert found["rgb_features"].tolist() == [[1.0, 2.0]]


def test_only_what_nobody_answered_is_tried_again(over_grpc, good):
    address, servicer = over_grpc
    request = good[0].inputs["fuse"]
    with Client.open(address, name="stfn", retries=2) as client:
        servicer.unavailable = 2
        assert client.call("fuse", request)["scores"].shape == (1, 3)
        servicer.unavailable = 3
        with pytest.raises(Unavailable, match="cannot be reached: not yet"):
            client.call("fuse", request)
        assert servicer.unavailable == 0
        servicer.unavailable = 1  # a refusal is final
        with pytest.raises(ServerError, match="INVALID_ARGUMENT.*no signature nothing"):
            client.call("nothing", request)
        assert servicer.unavailable == 0


def test_waits_grow_and_end_with_the_deadline():
    now, waits, left = [0.0], [], []

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    def call(seconds):
        left.append(seconds)
        raise Unavailable("nobody")

    with pytest.raises(Unavailable):
        retried(call, 10.0, 8, sleep, lambda: now[0])
    for wait, most in zip(waits, (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0), strict=False):
        assert most / 2 <= wait <= most
    assert sum(waits) < 10.0
    assert left == sorted(left, reverse=True)
    assert left[0] == 10.0


def test_the_stand_in_that_users_start(served, small_stfn, small_clip, good):
    from stfn_keras.serving.predictor import Predictor
    from stfn_keras.serving.servers.prediction_service import make_server

    server, port = make_server(served, "stfn", "127.0.0.1:0", 2)
    server.start()
    address, config = f"127.0.0.1:{port}", small_stfn / "assets.extra/config.json"
    try:
        with Client.open(address, config, version=1) as client:
            scores = client.predict_video(small_clip).scores
            bad = {"rgb_jpeg": [[b"GIF89a"] * 3], "flow_jpeg": [[b"GIF89a"] * 3]}
            with pytest.raises(ServerError, match="_jpeg: expected JPEG images"):
                client.predict(bad)
        with (
            Client.open(address, config, version=2) as client,
            pytest.raises(ServerError, match="NOT_FOUND.*has stfn, version 1"),
        ):
            client.predict(good[0].inputs["serve_jpeg"])
        with pytest.raises(UserError, match="cannot listen on"):
            make_server(served, "stfn", address, 2)
    finally:
        server.stop(None).wait()
    expected = Predictor(small_stfn).predict(small_clip).scores
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_nobody_there():
    for address in ("127.0.0.1:1", "http://127.0.0.1:1", "v2+http://127.0.0.1:1"):
        with (
            Client.open(address, name="stfn", retries=0, timeout=5) as client,
            pytest.raises(Unavailable, match="cannot be reached"),
        ):
            client.predict({"rgb_jpeg": [[b""]]})


def test_a_deadline_is_kept(over_grpc, good):
    address, servicer = over_grpc
    servicer.slow.set()
    try:
        with (
            Client.open(address, name="stfn", timeout=0.2) as client,
            pytest.raises(UserError, match="did not answer within 0.2 s"),
        ):
            client.predict(good[0].inputs["serve_jpeg"])
    finally:
        servicer.slow.clear()


def test_a_message_has_a_limit(over_grpc, over_rest, good):
    for address, _ in (over_grpc, over_rest):
        with (
            Client.open(address, name="stfn", max_bytes=1000) as client,
            pytest.raises(UserError, match="at most 1000 bytes"),
        ):
            client.predict(good[0].inputs["serve_jpeg"])


def test_a_model_that_is_not_there(over_grpc, over_rest, good):
    for (address, _), told in ((over_grpc, "no model other"), (over_rest, "no model")):
        with (
            Client.open(address, name="other") as client,
            pytest.raises(ServerError, match=told),
        ):
            client.predict(good[0].inputs["serve_jpeg"])


@pytest.mark.parametrize(
    "server", ["", "host", "ftp://host:1", "host:port", "file:///x"]
)
def test_what_is_no_address_is_refused(server):
    with pytest.raises(UserError, match="--server must be HOST:PORT"):
        open_transport(server, "stfn")


def test_lists_of_other_lengths_are_refused():
    with (
        Client.open("http://127.0.0.1:1", name="stfn") as client,
        pytest.raises(UserError, match="rgb_jpeg must be an array, or lists of equal"),
    ):
        client.predict({"rgb_jpeg": [[1, 2], [3]]})


def test_numbers_that_json_does_not_have_are_refused(over_rest):
    with (
        Client.open(over_rest[0], name="stfn") as client,
        pytest.raises(UserError, match="rgb_features must hold finite numbers"),
    ):
        client.call("fuse", {"rgb_features": np.full((1, 3, 4), np.nan, np.float32)})


def test_a_remote_runtime_scores_views(over_grpc, small_stfn, good, tmp_path):
    from stfn_keras.serving.runtimes.remote import open_remote

    runtime = open_remote(small_stfn, over_grpc[0])
    assert runtime.segments == 3
    assert runtime.inputs["flow"] == (3, 24, 24, 4)
    views = good[0].inputs["serving_default"]
    found = runtime.predict(views)
    np.testing.assert_allclose(
        found["scores"], good[0].scores["serving_default"], atol=1e-6
    )
    with pytest.raises(UserError, match="rgb must be uint8"):
        runtime.predict({**views, "rgb": views["rgb"].astype(np.float32)})
    extra = tmp_path / "1" / "assets.extra"
    extra.mkdir(parents=True)
    shutil.copy(small_stfn / "assets.extra/config.json", extra)
    assert open_remote(tmp_path, over_grpc[0], "stfn").predict(views)["scores"].any()
