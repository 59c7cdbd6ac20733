"""What every runtime of an exported model offers.

runtime = open_runtime(Path("models/stfn/1"), "onnx")
runtime.inputs                                # {"rgb": (7, 224, 224, 3), ...}
runtime.predict({"rgb": ..., "flow": ...})    # {"scores": ..., "logits": ...}
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.video.extent import Extent

Inputs = dict[str, tuple[int, ...]]  # shape of one video's view, by stream


class Runtime(Protocol):
    """A network that is ready for views.

    Attributes:
        name: Of the format, such as `saved_model` or `litert_int8`.
        inputs: Shape (T, height, width, channels) of one video's uint8 view, by stream.
        segments: T.
    """

    name: str
    inputs: Inputs
    segments: int

    def predict(self, views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch of videos.

        Args:
            views: uint8 (batch, T, height, width, channels) by stream, batch >= 1.

        Returns:
            `scores` (softmax) and `logits`, float32 (batch, classes).

        Raises:
            UserError: A view is missing or has another type or shape.
        """


def segments_of(inputs: Inputs) -> int:
    """The number of segments T that a network takes."""
    return next(iter(inputs.values()))[0]


def extent_of(inputs: Inputs) -> Extent:
    """How much of each segment a network takes."""
    return Extent(
        inputs["rgb"][-1] // 3 if "rgb" in inputs else 1,
        inputs["flow"][-1] // 2 if "flow" in inputs else 0,
    )


def check_views(views: Mapping[str, np.ndarray], inputs: Inputs) -> int:
    """Refuse views that a network does not take.

    Args:
        views: As given to `Runtime.predict`.
        inputs: As of the runtime.

    Returns:
        The batch size.

    Raises:
        UserError: A stream is missing or too many, has another type or shape, or the
            streams hold different numbers of videos.
    """
    if set(views) != set(inputs):
        raise UserError(
            f"expected views of {' and '.join(inputs)}. Received: "
            f"{' and '.join(views) or 'none'}"
        )
    batches = {}
    for stream, shape in inputs.items():
        given = np.asarray(views[stream])
        wanted = f"uint8 (batch, {', '.join(map(str, shape))})"
        if given.dtype != np.uint8 or given.shape[1:] != shape or not len(given):
            raise UserError(
                f"{stream} must be {wanted} with a batch of at least 1. Received: "
                f"{given.dtype} {given.shape}"
            )
        batches[stream] = len(given)
    if len(set(batches.values())) > 1:
        raise UserError(
            "the streams must hold as many videos as each other. Received: "
            + ", ".join(f"{stream} {count}" for stream, count in batches.items())
        )
    return next(iter(batches.values()))
