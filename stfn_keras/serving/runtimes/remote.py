"""A model on a server as a runtime: views go to `serving_default` there.

runtime = open_remote(Path("models/stfn/1"), "localhost:8500")
runtime.predict({"rgb": ..., "flow": ...})["scores"]
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.serving.client.client import Client
from stfn_keras.serving.folder import CONFIG, EXTRA, newest_version, read_config
from stfn_keras.serving.runtimes.base import Inputs, check_views, segments_of


class RemoteRuntime:
    """A served model; see `Runtime`.

    Args:
        client: Of the server.
        inputs: Shape of one video's view, by stream.
    """

    def __init__(self, client: Client, inputs: Inputs) -> None:
        self.name = "remote"
        self.inputs = inputs
        self.segments = segments_of(inputs)
        self._client = client

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch; see `Runtime.predict`."""
        check_views(views, self.inputs)
        given = {stream: np.asarray(views[stream]) for stream in self.inputs}
        return self._client.call("serving_default", given)


def open_remote(
    folder: Path, server: str, name: str | None = None, timeout: float = 60.0
) -> RemoteRuntime:
    """Make the runtime of a model that a server has, from the local copy of it.

    Args:
        folder: `models/NAME` or a version; only its `assets.extra` is read.
        server: Its address: see `stfn_keras.serving.client.transport`. Pixels travel
            as they are over gRPC and `v2+http`, and as text over REST.
        name: Of the model on the server; None for that of the export's folder.
        timeout: Seconds that a batch may take.

    Raises:
        UserError: The folder is no model of ours, or too old to say its inputs.
    """
    folder = newest_version(folder)
    shapes = read_config(folder).get("inputs")
    if not shapes:
        raise UserError(
            f"expected a model that says its inputs. {folder} does not: export it again"
        )
    client = Client.open(server, folder / EXTRA / CONFIG, name, timeout=timeout)
    return RemoteRuntime(client, {s: tuple(shape) for s, shape in shapes.items()})
