"""From a raw video to the encoded snippets that an exported model asks for.

    preparer = Preparer(read_config(Path("models/stfn/1")))
    prepared = preparer.prepare(Path("clip.avi"))
    preparer.encoded(prepared)  # {"rgb_jpeg": [...], "flow_jpeg": [...]}

Without TensorFlow: a client of a served model prepares its videos by it as well.
Flow is computed only for a network that reads it.
"""

import dataclasses
import glob
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from absl import logging

from stfn_keras.config import FLOW_BOUND, ModelConfig
from stfn_keras.config.stored import from_dict
from stfn_keras.data.manifest import preparation_config
from stfn_keras.data.sampling import fixed_positions
from stfn_keras.errors import UserError
from stfn_keras.serving.windows import Window, prepare_windows
from stfn_keras.video import decode, image
from stfn_keras.video.encoders import SnippetEncoder
from stfn_keras.video.extent import Extent
from stfn_keras.video.flow import EXTERNAL, MINIMUM_SIDE, get_preset
from stfn_keras.video.frames import prepare_frames
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig
from stfn_keras.video.prepare import PreparedVideo, VideoError, prepare_video


class Preparer:
    """What a model's configuration says of its input, done to videos.

    Args:
        config: The model's, as `read_config` gives it.
        decoding: Limits of videos, and what becomes of damaged ones; None for the
            defaults, of a command that has no flags for them.

    Attributes:
        labels: The classes, in the order of the scores.
        inputs: `rgb`, `flow` or both: the pixels that the network reads.
        segments: T, snippets of a video.
        flow: Name of the flow field; None for a network without flow.
        preparation: How videos become snippets.
        select: Which of a prepared video's K snippets the network sees.
        extent: What it reads of each.
        reach: Frames in a row that this takes.

    Raises:
        UserError: The model needs another flow preset than this installation has, or
            a newer version wrote its configuration.
    """

    def __init__(
        self, config: dict[str, Any], decoding: DecodingConfig | None = None
    ) -> None:
        block = config["preprocessing"]
        self.labels = tuple(config["labels"])
        network = from_dict(ModelConfig, config["model"])
        self.inputs = network.inputs
        self.segments = network.segments
        self.flow: str | None = config["flow"] if "flow" in self.inputs else None
        # A model of dense data takes snippets too: the same pixels, only those needed.
        self.preparation = dataclasses.replace(
            preparation_config(block), layout="snippet"
        )
        self.select: list[int] = fixed_positions(
            self.preparation.snippets, self.segments, 1
        )[0].tolist()
        self.extent = Extent.of(network)
        self.reach = self.extent.reach
        self._chosen = decoding
        self._decoding = decoding or DEFAULT_DECODING
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
            self.check_computable(video)
            return prepare_video(
                video, self.preparation, self.select,
                decoding=self._decoding, extent=self.extent,
            )  # fmt: skip
        except VideoError as error:
            raise unusable(video, error, self._chosen) from error

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
        self.check_computable(video)
        try:
            yield from prepare_windows(
                video, self.preparation, self.select, length, stride,
                decoding=self._decoding, extent=self.extent,
            )  # fmt: skip
        except VideoError as error:
            raise unusable(video, error, self._chosen) from error

    def prepare_snippet(self, frames: Sequence[np.ndarray]) -> PreparedVideo:
        """Prepare one snippet of a stream: a video of T = 1.

        Args:
            frames: uint8 RGB (height, width, 3), upright, `reach` of them in a row.

        Raises:
            VideoError: They are too small for flow, or too large.
        """
        config, extent = self.preparation, self.extent
        height, width = frames[0].shape[:2]
        info = decode.VideoInfo(0, len(frames), 0.0, height, width)
        size = decode.stored_size(info, config.size)
        if min(size) < MINIMUM_SIDE:
            raise VideoError("too small")
        if not image.fits(*size, max(extent.pairs, 1)):
            raise VideoError("too large")
        snippet = extent.snippet(0, len(frames))
        encoder = SnippetEncoder(config.flow if extent.pairs else (), [snippet])
        for index in sorted(encoder.frames):
            encoder.add(index, decode.resize(frames[index], size))
        rgb, mosaics = encoder.result()
        return PreparedVideo(0, len(frames), 0.0, *size, [0], rgb, mosaics)

    def check_computable(self, video: str | PathLike) -> None:
        """Raise UserError if the flow of a video file cannot be computed.

        Args:
            video: What to call it.
        """
        if self.flow and self._field["preset"] == EXTERNAL:
            raise UserError(
                "the model was trained on flow that another program extracted, which "
                "cannot be computed from a video: give the folder of its frames and "
                f"flow images. Received: {video}"
            )

    def encoded(self, prepared: PreparedVideo) -> dict[str, Any]:
        """One video's inputs of `serve_jpeg`.

        Returns:
            `rgb_jpeg`, all frames of T snippets, and `flow_jpeg`, T mosaics, as far as
            the network reads them; without RGB `height` and `width` of the flow in
            pixels.
        """
        inputs: dict[str, Any] = {}
        if "rgb" in self.inputs:
            inputs["rgb_jpeg"] = prepared.rgb
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
            field=field, bound=bound, decoding=self._decoding, extent=self.extent,
        )  # fmt: skip


def unusable(
    video: Path, error: VideoError, decoding: DecodingConfig | None = None
) -> UserError:
    """What to tell of a video that cannot be used.

    Args:
        video: A file, or a folder of frames.
        error: Why not.
        decoding: What the command's flags said; None if it has none.
    """
    told = error.reason
    if told == "missing":
        told = "no file matches" if glob.has_magic(str(video)) else "no such file"
    elif told == "no frames" and video.is_dir():
        told = "no video and no frame folder in it"
    elif error.decoded:
        of = f" of {error.declared} declared" if error.declared else ""
        told += f" ({error.decoded}{of} frames decoded{_hint(error, decoding)})"
    return UserError(f"{video} cannot be used: {told}")


def _hint(error: VideoError, decoding: DecodingConfig | None) -> str:
    """Which flag takes more of a damaged video."""
    if error.reason != "damaged" or decoding is None:
        return ""
    if decoding.on_damaged == "keep":
        return f"; --min_fraction is {decoding.min_fraction:g}"
    return "; --on_damaged=keep takes what is whole"


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
