"""A raw video in, scores out, by an exported model in any of its formats.

    predictor = Predictor(Path("models/stfn"), "onnx")
    predictor.predict(Path("clip.avi")).top(5)  # [("PushUps", 0.93), ...]
    for prediction in predictor.windows(Path("match.mp4"), length=4.0, stride=2.0):
        prediction.start, prediction.top(1)

The video passes through the same preparation as the training data, JPEG round trip
included, and the same centre view, so the scores equal the evaluation's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras.serving.folder import check_digests, newest_version, read_config
from stfn_keras.serving.preparer import Preparer
from stfn_keras.serving.ranking import best_classes
from stfn_keras.serving.runtimes.base import Runtime
from stfn_keras.serving.runtimes.open import format_name, is_engine, open_runtime
from stfn_keras.video.centre import centre_views
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import PreparedVideo


@dataclass(frozen=True)
class Prediction:
    """Scores of one video, or of a window of one.

    Attributes:
        video: The file, or the folder of frames.
        labels: str (C,).
        scores: float32 (C,), softmax, sum 1.
        prepared: The T snippets that the network saw.
        flow: Name of the flow field it saw; None for a network without flow.
        start: Of the window, in seconds; None for a whole video.
        end: Likewise.
    """

    video: Path
    labels: tuple[str, ...]
    scores: np.ndarray
    prepared: PreparedVideo
    flow: str | None
    start: float | None = None
    end: float | None = None

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The best classes and their scores, best first."""
        return best_classes(self.labels, self.scores, count)


class Predictor:
    """An exported model, ready for videos.

    Args:
        model: `models/NAME`, whose newest version is taken, or one version.
        runtime: A format that the model was published in, or an opened runtime.
        threads: CPU threads of the network; None is the runtime's own choice.
        decoding: Limits of videos, and what becomes of damaged ones.

    Raises:
        UserError: There is no model of ours, one of its files is damaged, it was not
            published in the format, or it needs another flow preset than this
            installation has.
    """

    def __init__(
        self,
        model: Path,
        runtime: str | Runtime = "saved_model",
        threads: int | None = None,
        decoding: DecodingConfig = DEFAULT_DECODING,
    ) -> None:
        self.folder = newest_version(model)
        config = read_config(self.folder)
        self.preparer = Preparer(config, decoding)
        self.labels = self.preparer.labels
        if isinstance(runtime, str):
            if not is_engine(runtime):  # which was built here, beside what was exported
                check_digests(self.folder, config, format_name(runtime))
            runtime = open_runtime(self.folder, runtime, threads)
        self.runtime = runtime
        self._sizes = {stream: shape[1] for stream, shape in runtime.inputs.items()}

    def predict(self, video: Path, called: Path | None = None) -> Prediction:
        """Score one video file, or a folder of frames.

        Args:
            video: The file or folder.
            called: What the prediction calls it, if not by its path.

        Raises:
            UserError: The video cannot be used, and why.
        """
        return self._prediction(called or video, self.preparer.prepare(video))

    def windows(
        self, video: Path, length: float, stride: float, called: Path | None = None
    ) -> Iterator[Prediction]:
        """Score each window of a long video file, in order, while it is decoded.

        Args:
            video: The file.
            length: Of a window, in seconds.
            stride: From a window's start to the next one's, in seconds.
            called: What the predictions call it, if not by its path.

        Raises:
            UserError: The video cannot be used, and why.
        """
        for window in self.preparer.windows(video, length, stride):
            yield self._prediction(
                called or video, window.prepared, window.start, window.end
            )

    def views(self, prepared: PreparedVideo) -> dict[str, np.ndarray]:
        """A video's centre view, uint8 (1, T, size, size, channels) by stream."""
        encoded = self.preparer.encoded(prepared)
        batch = {name: tf.constant([value]) for name, value in encoded.items()}
        views = centre_views(batch, self._sizes, self.preparer.extent)
        return {stream: view.numpy() for stream, view in views.items()}

    def _prediction(
        self,
        video: Path,
        prepared: PreparedVideo,
        start: float | None = None,
        end: float | None = None,
    ) -> Prediction:
        scores = self.runtime.predict(self.views(prepared))["scores"][0]
        flow = self.preparer.flow
        return Prediction(video, self.labels, scores, prepared, flow, start, end)
