"""A model on a server as a runtime: views go to `serving_default` there.

runtime = open_remote(Path("models/stfn/1"), "localhost:8500")
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.client.client import TIMEOUT, Client, check_scores
from stfn_keras.serving.folder import CONFIG, EXTRA, newest_version, read_config
from stfn_keras.serving.runtimes.base import (
    Inputs,
    check_views,
    extent_of,
    segments_of,
)
from stfn_keras.video import image

GREY = 128  # of a pixel, and of flow that stands still
TOLERANCE = 1e-5  # of a score, between two outputs of one answer, as JSON rounds


class RemoteRuntime:
    """A served model; see `Runtime`.

    Args:
        client: Of the server.
        inputs: Shape of one video's view, by stream.
        classes: C, of the local copy.
    """

    def __init__(self, client: Client, inputs: Inputs, classes: int) -> None:
        self.name = "remote"
        self.inputs = inputs
        self.segments = segments_of(inputs)
        self._client = client
        self._classes = classes

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        batch = check_views(views, self.inputs)
        given = {stream: np.asarray(views[stream]) for stream in self.inputs}
        found = self._client.call("serving_default", given)
        return check_scores(found, batch, self._classes)


def open_remote(
    folder: Path,
    server: str,
    name: str | None = None,
    version: int | None = None,
    timeout: float = TIMEOUT,
) -> RemoteRuntime:
    """Make the runtime of a model that a server has, from the local copy of it.

    A grey video is scored once, to see that the server's classes are the copy's. What
    a client cannot see is whether its weights are too.

    Args:
        folder: `models/NAME` or a version; only its `assets.extra` is read.
        server: Its address: see `stfn_keras.serving.client.transport`. Pixels travel
            as they are over gRPC and `v2+http`, and as text over REST.
        name: Of the model on the server; None for that of the export's folder.
        version: Of the model on the server; None for the server's choice, whichever
            version the folder is.
        timeout: Seconds that a batch may take, and a server to be there.

    Raises:
        UserError: The folder is no model of ours, or too old to say its inputs; the
            server cannot be reached, or its model is another one.
    """
    folder = newest_version(folder)
    config = read_config(folder)
    shapes = config.get("inputs")
    if not shapes:
        raise UserError(
            f"expected a model that says its inputs. {folder} does not: export it again"
        )
    inputs = {stream: tuple(shape) for stream, shape in shapes.items()}
    client = Client.open(server, folder / EXTRA / CONFIG, name, version, timeout)
    check_served(client, inputs, config["labels"])
    return RemoteRuntime(client, inputs, len(config["labels"]))


def check_served(client: Client, inputs: Inputs, labels: Sequence[str]) -> None:
    """Refuse a server whose model has other classes, or the same in another order.

    Args:
        client: Of the server.
        inputs: Shape of one video's view, by stream.
        labels: The classes expected, in order.

    Raises:
        UserError: It has, or does not say its classes.
    """
    found = check_scores(client.predict(grey_video(inputs)), 1, len(labels))
    if not {"labels", "label_scores"} <= set(found):
        raise UserError(
            "expected a server whose serve_jpeg says labels. Received: "
            f"{', '.join(found)}: export the model again"
        )
    scores, known = found["scores"][0], list(labels)
    for told, score in zip(found["labels"][0], found["label_scores"][0], strict=True):
        label = told.decode("utf-8", "replace")
        ours = scores[known.index(label)] if label in known else np.nan
        if not np.isclose(ours, score, rtol=TOLERANCE, atol=0.0):
            raise UserError(
                "--model must be a copy of the served model. Received: another one's, "
                f"in which {label!r} is not the class at its place; --name and "
                "--model_version choose what is served"
            )


def grey_video(inputs: Inputs) -> dict[str, Any]:
    """A video of grey frames in which nothing moves, as `serve_jpeg` takes it."""
    segments, extent = segments_of(inputs), extent_of(inputs)
    side = max(shape[1] for shape in inputs.values())
    video: dict[str, Any] = {}
    if "rgb" in inputs:
        frame = np.full((side, side, 3), GREY, np.uint8)
        video["rgb_jpeg"] = [[image.encode_rgb(frame)] * segments * extent.frames]
    else:
        video |= {"height": [side], "width": [side]}
    if "flow" in inputs:
        codes = np.full((extent.pairs, side, side, 2), GREY, np.uint8)
        video["flow_jpeg"] = [[image.encode_flow(codes)] * segments]
    return video
