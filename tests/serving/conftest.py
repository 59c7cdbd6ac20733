"""The small exported STFN, loaded, and requests for it."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def served(small_stfn):
    """The small STFN, loaded."""
    from stfn_keras.serving.servers.model import ServedModel

    return ServedModel(small_stfn)


@pytest.fixture(scope="session")
def good(served):
    """Two good requests, with the model's own scores, which differ."""
    from stfn_keras.serving.load import Good
    from stfn_keras.video import image

    draws = np.random.default_rng(0)
    requests = []
    for colour, moved in (((200, 60, 60), 150), ((60, 60, 200), 106)):
        noise = draws.integers(-30, 30, (3, 36, 48, 1))
        frames = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        codes = np.full((3, 2, 36, 48, 2), 128, np.uint8)
        codes[..., 0] = moved
        rgb = [image.encode_rgb(frame) for frame in frames]
        flow = [image.encode_flow(code) for code in codes]
        inputs = {
            "serve_jpeg": {
                "rgb_jpeg": np.array([rgb], object),
                "flow_jpeg": np.array([flow], object),
            },
            "serving_default": {
                "rgb": draws.integers(0, 256, (1, 3, 16, 16, 3)).astype(np.uint8),
                "flow": np.full((1, 3, 24, 24, 4), moved, np.uint8),
            },
            "fuse": {
                name: draws.normal(size=(1, *spec.shape[1:])).astype(np.float32)
                for name, spec in served.inputs["fuse"].items()
            },
        }
        scores = {n: served.answer(n, given)["scores"] for n, given in inputs.items()}
        requests.append(Good(inputs, scores))
    return requests


@pytest.fixture(scope="session")
def over_grpc(small_stfn):
    """The address of a stand-in for TensorFlow Serving's gRPC, and its servicer."""
    pytest.importorskip("tensorflow_serving", reason="needs the extra [serving]")
    from serving.stand_in import grpc_stand_in

    with grpc_stand_in(small_stfn) as found:
        yield found


@pytest.fixture(scope="session")
def over_rest(served):
    """The address of a stand-in for its REST, and the paths that were asked for."""
    pytest.importorskip("tensorflow_serving", reason="needs the extra [serving]")
    from serving.stand_in import http_stand_in

    with http_stand_in(served) as found:
        yield found
