"""The client, against stand-ins for TensorFlow Serving on its own protos and JSON."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

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
        retried(call, 10.0, None, sleep, lambda: now[0])
    for wait, most in zip(waits[:7], (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0), strict=True):
        assert most / 2 <= wait <= most
    assert 10.0 - 2.0 - 0.1 <= sum(waits) < 10.0  # until the deadline
    assert left == sorted(left, reverse=True)
    assert left[0] == 10.0
    waits.clear()
    with pytest.raises(Unavailable):
        retried(call, 10.0, 3, sleep, lambda: now[0])
    assert len(waits) == 3


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


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_server_that_is_not_there_yet_is_awaited(served, good, scheme):
    """README starts one in the background and asks it at once."""
    from serving.stand_in import http_stand_in

    from stfn_keras.serving.servers.prediction_service import make_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = []

    def ask():
        with Client.open(f"{scheme}127.0.0.1:{port}", name="stfn") as client:
            answers.append(client.call("fuse", good[0].inputs["fuse"])["scores"])

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.5)
    with contextlib.ExitStack() as stack:
        if scheme:
            stack.enter_context(http_stand_in(served, port))
        else:
            server, _ = make_server(served, "stfn", f"127.0.0.1:{port}", 1)
            server.start()
            stack.callback(lambda: server.stop(None).wait())
        asking.join(30)
    np.testing.assert_allclose(answers[0], good[0].scores["fuse"], atol=1e-6)


def test_what_speaks_no_http_is_told(over_grpc):
    with (
        Client.open(f"http://{over_grpc[0]}", name="stfn", timeout=5) as client,
        pytest.raises(UserError, match="--server must speak HTTP|reached|within"),
    ):
        client.predict({"rgb_jpeg": [[b""]]})


def test_a_port_of_http_is_named_where_grpc_is_asked_for(served):
    """It was tried again for a minute."""
    from serving.stand_in import http_stand_in

    with http_stand_in(served) as (address, _):
        bare = address.removeprefix("http://")
        with (
            Client.open(bare, name="stfn") as client,
            pytest.raises(UserError, match=f"speaks HTTP: write {address}") as told,
        ):
            client.predict({"rgb_jpeg": [[b""]]})
    assert not isinstance(told.value, Unavailable)


def test_bytes_that_are_no_http_are_not_shown():
    with (
        talking(b"\x00\x00\x18\x04\x00\r\n") as address,
        Client.open(address, name="stfn", timeout=5) as client,
        pytest.raises(UserError, match="--server must speak HTTP") as told,
    ):
        client.predict({"rgb_jpeg": [[b""]]})
    assert "x18" not in str(told.value)


@pytest.mark.parametrize("folder", ["", "assets.extra/config.json", ".."])
def test_a_configuration_is_a_file_or_the_folder_of_its_model(small_stfn, folder):
    with Client.open("http://127.0.0.1:1", small_stfn / folder) as client:
        assert client._preparer.segments == 3


def test_a_folder_that_is_no_model_is_no_configuration(tmp_path):
    with pytest.raises(UserError, match="--config must be a folder made by export.py"):
        Client.open("http://127.0.0.1:1", tmp_path, "stfn")


def test_importing_grpc_says_nothing():
    """TensorFlow, which its protos are of, prints six lines of the hardware."""
    pytest.importorskip("tensorflow_serving", reason="needs the extra [serving]")
    found = subprocess.run(
        [sys.executable, "-c", "import stfn_keras.serving.client.tfs_grpc"],
        capture_output=True, text=True, timeout=120,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("answer", [b"what?\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"])
def test_an_answer_that_is_no_http_is_told(answer):
    with (
        talking(answer) as address,
        Client.open(address, name="stfn", timeout=5) as client,
        pytest.raises(UserError, match="--server must speak HTTP"),
    ):
        client.predict({"rgb_jpeg": [[b""]]})


def test_an_answer_that_trickles_in_has_a_deadline():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with (
        talking(head, *[b" "] * 300) as address,
        Client.open(address, name="stfn", timeout=0.3) as client,
        pytest.raises(UserError, match=r"did not answer within 0\.3 s"),
    ):
        client.predict({"rgb_jpeg": [[b""]]})


def test_an_answer_that_is_broken_off_is_no_answer():
    with (
        talking(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}") as address,
        Client.open(address, name="stfn", retries=0) as client,
        pytest.raises(Unavailable, match="broke off"),
    ):
        client.predict({"rgb_jpeg": [[b""]]})


@pytest.mark.parametrize("address", ["http://[::1", "http://a b:1", "http://a..b:1"])
def test_an_address_that_cannot_be_is_told(address):
    with (
        Client.open(address, name="stfn", retries=0) as client,
        pytest.raises(UserError, match="--server must be an address"),
    ):
        client.predict({"rgb_jpeg": [[b""]]})


def test_a_models_name_is_quoted(over_rest):
    address, paths = over_rest
    for name, path in (("a b?c/é", "a%20b%3Fc%2F%C3%A9"), ("x\udce9", "x%E9")):
        with (
            Client.open(address, name=name) as client,
            pytest.raises(ServerError, match="no model"),
        ):
            client.predict({"rgb_jpeg": [[b""]]})
        assert paths[-1] == f"/v1/models/{path}:predict"


def test_a_models_name_is_that_of_its_link(small_stfn, tmp_path):
    from stfn_keras.serving.client.client import _folder_name
    from stfn_keras.serving.servers.model import ServedModel

    (tmp_path / "linked").symlink_to(small_stfn.parent)
    config = tmp_path / "linked" / "1" / "assets.extra" / "config.json"
    assert _folder_name(config) == "linked"
    served = ServedModel(tmp_path / "linked")
    assert (served.name, served.version) == ("linked", 1)


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

    address, _ = over_grpc
    runtime = open_remote(small_stfn, address)
    assert runtime.segments == 3
    assert runtime.inputs["flow"] == (3, 24, 24, 4)
    views = good[0].inputs["serving_default"]
    found = runtime.predict(views)
    np.testing.assert_allclose(
        found["scores"], good[0].scores["serving_default"], atol=1e-6
    )
    with pytest.raises(UserError, match="rgb must be uint8"):
        runtime.predict({**views, "rgb": views["rgb"].astype(np.float32)})
    copy = tmp_path / "1"
    (copy / "assets.extra").mkdir(parents=True)
    shutil.copy(small_stfn / "assets.extra/config.json", copy / "assets.extra")
    assert open_remote(tmp_path, address, "stfn").predict(views)["scores"].any()
    assert open_remote(copy, address, "stfn").predict(views)["scores"].any()


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["rise", "fall", "wälk"], "--model must be a copy of the served model"),
        (["fall", "rise", "walk"], "--model must be a copy of the served model"),
        (["fall", "rise"], r"1 videos and 2 classes. Received: \(1, 3\)"),
        (["fall", "rise", "wälk", "x"], r"1 videos and 4 classes. Received: \(1, 3\)"),
    ],
)
def test_a_server_of_other_classes_is_refused(
    over_grpc, small_stfn, tmp_path, labels, told
):
    from stfn_keras.serving.runtimes.remote import open_remote

    config = json.loads((small_stfn / "assets.extra/config.json").read_text())
    config["labels"] = labels
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    (tmp_path / "1" / "assets.extra" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=told):
        open_remote(tmp_path, over_grpc[0], "stfn")


@pytest.mark.parametrize("streams", ["spatial", "temporal"])
def test_a_remote_network_of_one_stream_is_checked(request, streams):
    from serving.stand_in import grpc_stand_in

    from stfn_keras.serving.runtimes.remote import open_remote

    model = request.getfixturevalue(f"small_{streams}")
    with grpc_stand_in(model) as (address, _):
        assert open_remote(model, address).segments == 3


def test_scores_of_another_shape_are_refused():
    from stfn_keras.serving.client.client import check_scores

    scores = np.zeros((1, 3), np.float32)
    assert check_scores({"scores": scores, "logits": scores}, 1, 3)
    for found in ({"scores": scores}, {"scores": scores, "logits": scores[0]}):
        with pytest.raises(UserError, match="expected logits of 1 videos and 3"):
            check_scores(found, 1, 3)


@contextlib.contextmanager
def talking(*parts):
    """Answer one connection with these bytes, a little apart; the address."""

    def answer():
        with contextlib.suppress(OSError), server.accept()[0] as connection:
            connection.recv(65536)
            for number, part in enumerate(parts):
                if number:
                    time.sleep(0.01)
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # or the rest of the answer would be lost
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    thread.join()
