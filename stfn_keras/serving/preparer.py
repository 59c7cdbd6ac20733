"""From a raw video to the encoded snippets that an exported model asks for.

    preparer = Preparer(read_config(Path("models/stfn/1")))
    prepared = preparer.prepare(Path("clip.avi"))
    preparer.encoded(prepared)  # {"rgb_jpeg": [...], "flow_jpeg": [...]}

Without TensorFlow: a client of a served model prepares its videos by it as well.
Flow is computed only for a network that reads it.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
from absl import logging

from stfn_keras.config import FLOW_BOUND, ModelConfig
from stfn_keras.data.manifest import preparation_config
from stfn_keras.data.sampling import fixed_positions
from stfn_keras.errors import UserError
from stfn_keras.serving.windows import Window, prepare_windows
from stfn_keras.video.flow import EXTERNAL, get_preset
from stfn_keras.video.frames import prepare_frames
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import PreparedVideo, VideoError, prepare_video


class Preparer:
    """What a model's configuration says of its input, done to videos.

    Args:
        config: The model's, as `read_config` gives it.
        decoding: Limits of videos, and what becomes of damaged ones.

    Attributes:
        labels: The classes, in the order of the scores.
        streams: `rgb`, `flow` or both: what the network reads.
        segments: T, snippets of a video.
        flow: Name of the flow field; None for a network without flow.
        preparation: How videos become snippets.

    Raises:
        UserError: The model needs another flow preset than this installation has.
    """

    def __init__(
        self, config: dict[str, Any], decoding: DecodingConfig = DEFAULT_DECODING
    ) -> None:
        model, block = config["model"], config["preprocessing"]
        self.labels = tuple(config["labels"])
        self.streams = ModelConfig(network=model["network"]).streams
        self.segments = int(model["segments"])
        self.flow: str | None = config["flow"] if "flow" in self.streams else None
        # A model of dense data takes snippets too: the same pixels, only those needed.
        self.preparation = dataclasses.replace(
            preparation_config(block), layout="snippet"
        )
        self.select: list[int] = fixed_positions(
            self.preparation.snippets, self.segments, 1
        )[0].tolist()
        self._decoding = decoding
        self._field = block["flow"][config["flow"]]
        if self.flow and self._field["preset"] != EXTERNAL:
            _check_flow(self._field)

    def prepare(self, video: Path) -> PreparedVideo:
        """Prepare the T snippets of a video file, or of a folder of frames.

        Raises:
            UserError: The video cannot be used, and why.
        """
        try:
            if video.is_dir():
                return self._prepare_frames(video)
            self._check_computable(video)
            return prepare_video(
                video, self.preparation, self.select,
                decoding=self._decoding, with_flow=self.flow is not None,
            )  # fmt: skip
        except VideoError as error:
            raise unusable(video, error) from error

    def windows(self, video: Path, length: float, stride: float) -> Iterator[Window]:
        """Prepare the T snippets of each window of a long video file.

        Args:
            video: The file.
            length: Of a window, in seconds.
            stride: From a window's start to the next one's, in seconds.

        Raises:
            UserError: The video cannot be used, and why.
        """
        if video.is_dir():
            raise UserError(
                f"windows need a video with times. Received: the frame folder {video}"
            )
        self._check_computable(video)
        try:
            yield from prepare_windows(
                video, self.preparation, self.select, length, stride,
                decoding=self._decoding, with_flow=self.flow is not None,
            )  # fmt: skip
        except VideoError as error:
            raise unusable(video, error) from error

    def encoded(self, prepared: PreparedVideo) -> dict[str, Any]:
        """One video's inputs of `serve_jpeg`.

        Returns:
            `rgb_jpeg` and `flow_jpeg`, T JPEGs each, as far as the network reads
            them; without RGB `height` and `width` of the flow in pixels.
        """
        inputs: dict[str, Any] = {}
        if "rgb" in self.streams:
            inputs["rgb_jpeg"] = prepared.rgb[:: self.preparation.rgb_per_snippet]
        else:
            inputs |= {"height": prepared.height, "width": prepared.width}
        if self.flow:
            inputs["flow_jpeg"] = prepared.flow[self._field["preset"]]
        return inputs

    def _prepare_frames(self, folder: Path) -> PreparedVideo:
        field = self._field["preset"] if self.flow else None
        bound = self._field["parameters"].get("source_bound", FLOW_BOUND)
        return prepare_frames(
            folder, self.preparation, self.select,
            field=field, bound=bound, decoding=self._decoding,
        )  # fmt: skip

    def _check_computable(self, video: Path) -> None:
        if self.flow and self._field["preset"] == EXTERNAL:
            raise UserError(
                "the model was trained on flow that another program extracted, which "
                "cannot be computed from a video: give the folder of its frames and "
                f"flow images. Received: {video}"
            )


def unusable(video: Path, error: VideoError) -> UserError:
    """What to tell of a video that cannot be used."""
    return UserError(
        f"{video} cannot be used: {error.reason} ({error.decoded} frames decoded)"
    )


def _check_flow(field: dict[str, Any]) -> None:
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
