"""A raw video file in, scores out, by an exported model.

    predictor = Predictor(Path("models/stfn"))
    prediction = predictor.predict(Path("clip.avi"))
    prediction.top(5)  # [("PushUps", 0.93), ...]

The video passes through the same preparation as the training data, JPEG round trip
included, so the scores equal the evaluation's.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from stfn_keras.config import FLOW_BOUND
from stfn_keras.data.manifest import preparation_config
from stfn_keras.data.sampling import fixed_positions
from stfn_keras.errors import UserError
from stfn_keras.files import sha256
from stfn_keras.serving.folder import newest_version, read_config
from stfn_keras.video.flow import get_preset
from stfn_keras.video.prepare import PreparedVideo, VideoError, prepare_video


@dataclass(frozen=True)
class Prediction:
    """Scores of one video.

    Attributes:
        video: The file.
        labels: str (C,).
        scores: float32 (C,), softmax, sum 1.
        prepared: The T snippets that the network saw.
        flow: Name of the flow field it saw.
    """

    video: Path
    labels: tuple[str, ...]
    scores: np.ndarray
    prepared: PreparedVideo
    flow: str

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The best classes and their scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.labels[i], float(self.scores[i])) for i in order]


class Predictor:
    """An exported model, ready for videos.

    Args:
        model: `models/NAME`, whose newest version is taken, or one version.

    Raises:
        UserError: There is no model of ours, one of its files is damaged, or it
            needs another flow preset than this installation has.
    """

    def __init__(self, model: Path) -> None:
        self.folder = newest_version(model)
        config = read_config(self.folder)
        self.labels = tuple(config["labels"])
        self.flow = config["flow"]
        self.segments = int(config["model"]["segments"])
        # A model of dense data takes snippets too: the same pixels, only those needed.
        self.preparation = dataclasses.replace(
            preparation_config(config["preprocessing"]), layout="snippet"
        )
        self._check_digests(config["sha256"])
        _check_flow(config["preprocessing"]["flow"][self.flow])
        self._model = tf.saved_model.load(str(self.folder))
        self._serve = self._model.signatures["serve_jpeg"]

    def _check_digests(self, digests: dict[str, str]) -> None:
        for file, digest in digests.items():
            path = self.folder / file
            if not path.is_file() or sha256(path) != digest:
                raise UserError(
                    f"the model file {path} is missing or damaged: export it again"
                )

    def predict(self, video: Path) -> Prediction:
        """Score one video file.

        Raises:
            UserError: The video cannot be used, and why.
        """
        chosen = fixed_positions(self.preparation.snippets, self.segments, 1)[0]
        try:
            prepared = prepare_video(video, self.preparation, select=chosen.tolist())
        except VideoError as error:
            raise UserError(
                f"{video} cannot be used: {error.reason} "
                f"({error.decoded} frames decoded)"
            ) from error
        scores = self._serve(**self._inputs(prepared))["scores"].numpy()[0]
        return Prediction(video, self.labels, scores, prepared, self.flow)

    def _inputs(self, prepared: PreparedVideo) -> dict[str, tf.Tensor]:
        step = self.preparation.rgb_per_snippet
        offered = {
            "rgb_jpeg": tf.constant([prepared.rgb[::step]]),
            "flow_jpeg": tf.constant([prepared.flow[self.flow]]),
            "height": tf.constant([prepared.height]),
            "width": tf.constant([prepared.width]),
        }
        wanted = self._serve.structured_input_signature[1]
        return {name: offered[name] for name in wanted}


def _check_flow(field: dict) -> None:
    """Refuse a flow field that this installation would compute otherwise."""
    preset = get_preset(field["preset"])
    ours = {
        "version": preset.version,
        "parameters": dict(preset.parameters),
        "bound": FLOW_BOUND,
    }
    for key, value in ours.items():
        if field[key] != value:
            raise UserError(
                f"the model's flow {field['preset']!r} has {key} = {field[key]}, this "
                f"version of stfn_keras has {value}: use the version that trained it"
            )
    if field["opencv"] != cv2.__version__:
        logging.warning(
            "the model's flow was computed by OpenCV %s, this is %s: flow, and so "
            "scores, may differ a little",
            field["opencv"],
            cv2.__version__,
        )
