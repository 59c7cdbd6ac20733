"""A client of a served model: encoded snippets, views or whole video files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.files import read_json
from stfn_keras.serving.client.retry import retried
from stfn_keras.serving.client.transport import MAX_BYTES, Transport, open_transport
from stfn_keras.serving.folder import CONFIG, EXTRA, MARK, is_version, newest_version
from stfn_keras.serving.preparer import Preparer
from stfn_keras.serving.ranking import best_classes

TIMEOUT = 60.0  # seconds

Inputs = Mapping[str, np.ndarray | Sequence]


@dataclass(frozen=True)
class Answer:
    """A server's scores of one video.

    Attributes:
        video: The file.
        labels: str (C,), the model's classes.
        scores: float32 (C,), softmax, sum 1.
        logits: float32 (C,).
    """

    video: Path
    labels: tuple[str, ...]
    scores: np.ndarray
    logits: np.ndarray

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The best classes and their scores, best first."""
        return best_classes(self.labels, self.scores, count)


class Client:
    """A served model; threads may share it.

    Args:
        transport: The way to it.
        config: The exported model's `config.json`, which `predict_video` needs.
        timeout: Seconds that a request may take, all its tries together.
        retries: Tries after the first where nobody answers; None until `timeout`.
    """

    def __init__(
        self,
        transport: Transport,
        config: dict[str, Any] | None = None,
        timeout: float = TIMEOUT,
        retries: int | None = None,
    ) -> None:
        self._transport = transport
        self._config = config
        self._timeout, self._retries = timeout, retries

    @classmethod
    def open(
        cls,
        server: str,
        config: Path | None = None,
        name: str | None = None,
        version: int | None = None,
        timeout: float = TIMEOUT,
        retries: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> "Client":
        """Make a client of a server; nothing is sent yet.

        Args:
            server: `HOST:PORT` for gRPC, `http://HOST:PORT` for REST, ...: see
                `stfn_keras.serving.client.transport`.
            config: The model's `assets.extra/config.json`, or a copy of it; or the
                folder of the model, whose newest version is taken, or of a version.
            name: Of the model on the server; None for that of the export's folder.
            version: Of the model; None for the server's choice, its newest.
            timeout: Seconds that a request may take, all its tries together.
            retries: Tries after the first where nobody answers; None until `timeout`.
            max_bytes: Of a message, at most.

        Raises:
            UserError: The address is none, the file is no configuration of a model,
                or the model has no name.
        """
        if config is not None and config.is_dir():
            config = newest_version(config, "--config") / EXTRA / CONFIG
        found = None if config is None else read_config_file(config)
        if not name and config is not None:
            name = _folder_name(config)
        if not name:
            raise UserError(
                "--name must be the model's name on the server, where --config is no "
                "NAME/VERSION/assets.extra/config.json. Received: none"
            )
        transport = open_transport(server, name, version, max_bytes)
        return cls(transport, found, timeout, retries)

    def call(self, signature: str, inputs: Inputs) -> dict[str, np.ndarray]:
        """Call a signature.

        Args:
            signature: `serve_jpeg`, `serving_default`, `features` or `fuse`.
            inputs: Arrays, or nested lists of encoded images, by the signature's names.

        Returns:
            Its outputs by name; strings as arrays of `object` that hold bytes.

        Raises:
            UserError: The server cannot be reached, refused the request (its words
                are in the message) or took too long.
        """
        arrays = {name: _array(name, value) for name, value in inputs.items()}
        return retried(
            lambda left: self._transport.call(signature, arrays, left),
            self._timeout,
            self._retries,
        )

    def predict(self, encoded: Inputs) -> dict[str, np.ndarray]:
        """Score encoded snippets.

        Args:
            encoded: Encoded images: `rgb_jpeg`, (batch, T R), the R frames of a segment
                one after another, and `flow_jpeg`, (batch, T); for a network without
                RGB `height` and `width`, int32 (batch,), instead of it.

        Returns:
            `scores` and `logits`, float32 (batch, C), and the best `labels`.
        """
        return self.call("serve_jpeg", encoded)

    def predict_video(self, video: Path) -> Answer:
        """Score a video file; flow is computed here, as `predict.py` does.

        Raises:
            UserError: The video cannot be used, the model's configuration is not at
                hand or another model's, or the server did not answer with scores.
        """
        preparer = self._preparer
        encoded = preparer.encoded(preparer.prepare(video))
        labels = preparer.labels
        found = check_scores(
            self.predict({name: [value] for name, value in encoded.items()}),
            1, len(labels),
        )  # fmt: skip
        scores = found["scores"][0]
        best = labels[int(scores.argmax())]
        told = found["labels"][0][0].decode() if "labels" in found else best
        if told != best:
            raise UserError(
                f"--config must be the served model's: it calls the best class "
                f"{best!r}. Received: the server calls it {told!r}"
            )
        return Answer(video, labels, scores, found["logits"][0])

    @cached_property
    def _preparer(self) -> Preparer:
        if self._config is None:
            raise UserError(
                "--config must be the model's assets.extra/config.json, to prepare "
                "videos as the model was trained. Received: none"
            )
        return Preparer(self._config)

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a model's configuration from its file, wherever that lies.

    Raises:
        UserError: It is no configuration of a model of ours.
    """
    config = read_json(path, "the config.json of a model made by export.py")
    if config.get("kind") != MARK:
        raise UserError(
            "--config must be the assets.extra/config.json of a model made by "
            f"export.py. {path} says: {config.get('kind')!r}"
        )
    return config


def check_scores(
    found: dict[str, np.ndarray], batch: int, classes: int
) -> dict[str, np.ndarray]:
    """Give a server's outputs, of which `scores` and `logits` are (batch, classes).

    Raises:
        UserError: They are not: the server has another model.
    """
    for name in ("scores", "logits"):
        shape = np.shape(found[name]) if name in found else None
        if shape != (batch, classes):
            raise UserError(
                f"expected {name} of {batch} videos and {classes} classes. Received: "
                f"{shape or 'none'}; the server has another model than --model or "
                "--config says"
            )
    return found


def _folder_name(config: Path) -> str | None:
    """NAME of NAME/VERSION/assets.extra/config.json, as it is called here."""
    parents = Path(os.path.abspath(config)).parents  # a link's name is the name
    return parents[2].name if len(parents) > 2 and is_version(parents[1].name) else None


def _array(name: str, value: np.ndarray | Sequence) -> np.ndarray:
    """Arrays as they are; lists of bytes become arrays of `object`, others int32."""
    if isinstance(value, np.ndarray):
        return value
    try:
        array = np.array(value, object)
        strings = any(isinstance(item, bytes) for item in array.flat)
        return array if strings else array.astype(np.int32)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{name} must be an array, or lists of equal length of encoded images or "
            f"whole numbers. Received: {error}"
        ) from error
