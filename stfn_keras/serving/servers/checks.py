"""Refuse a request before it reaches the graph, and name the input that is wrong.

    check_request({"rgb_jpeg": array, "flow_jpeg": array}, specs, pairs=5)
    # Refused: rgb_jpeg[0, 3] is no JPEG: it begins with b'GIF89'

Within a graph a bad image fails with the decoder's words, and its whole batch fails.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from stfn_keras.video.image import padded

MAX_PIXELS = 4096 * 4096  # of one encoded image: a small JPEG can decode to gigabytes
_JPEG = b"\xff\xd8\xff"

Arrays = Mapping[str, np.ndarray]
Specs = Mapping[str, tf.TensorSpec]


class Refused(ValueError):
    """A request that cannot be answered; the message begins with its input's name."""


def check_request(inputs: Arrays, specs: Specs, pairs: int = 0) -> None:
    """Refuse inputs that a signature does not take.

    Args:
        inputs: By name; strings are arrays of `object` that hold bytes.
        specs: Of the signature's inputs.
        pairs: Flow pairs L per snippet, to tell the size of a `flow_jpeg`.

    Raises:
        Refused: An input is missing or unknown, or has the wrong type or shape, holds
            no video, a value that is not finite, or an image that cannot be used.
    """
    names = ", ".join(specs)
    for name in specs:
        if name not in inputs:
            raise Refused(f"{name} is missing: expected {names}")
    for name in inputs:
        if name not in specs:
            raise Refused(f"{name} is no input of this signature: expected {names}")
    first = next(iter(specs))
    for name, spec in specs.items():
        _check_array(name, inputs[name], spec)
        if len(inputs[name]) != len(inputs[first]):
            raise Refused(
                f"{name} must hold as many videos as {first}, {len(inputs[first])}. "
                f"Received: {len(inputs[name])}"
            )
    if "rgb_jpeg" in inputs or "flow_jpeg" in inputs:
        _check_images(inputs, pairs)


def describe(spec: tf.TensorSpec) -> str:
    """A type and shape in words: `uint8 (batch, 7, 224, 224, 3)`."""
    sides = [
        "batch",
        *("any" if side is None else str(side) for side in spec.shape[1:]),
    ]
    return f"{spec.dtype.name} ({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _check_array(name: str, array: np.ndarray, spec: tf.TensorSpec) -> None:
    text = spec.dtype == tf.string
    kind = "string" if array.dtype == object else array.dtype.name
    if kind != spec.dtype.name or not spec.shape.is_compatible_with(array.shape):
        raise Refused(
            f"{name} must be {describe(spec)}. Received: {kind} {array.shape}"
        )
    if not array.size:
        raise Refused(
            f"{name} must hold at least one video. Received: shape {array.shape}"
        )
    if text:
        for where, value in np.ndenumerate(array):
            if not isinstance(value, bytes):
                place = _place(name, where)
                raise Refused(
                    f"{place} must be bytes. Received: {type(value).__name__}"
                )
    elif spec.dtype.is_floating and not np.isfinite(array).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise Refused(
            f"{_place(name, where)} must be a finite number. Received: {array[where]}"
        )


def _check_images(inputs: Arrays, pairs: int) -> None:
    """Refuse images whose headers say that they do not fit together."""
    sizes: list[tuple[int, int]] = []
    if "rgb_jpeg" in inputs:
        for row, images in enumerate(inputs["rgb_jpeg"]):
            found = [
                _size(f"rgb_jpeg[{row}, {t}]", jpeg) for t, jpeg in enumerate(images)
            ]
            for t, size in enumerate(found):
                if size != found[0]:
                    raise Refused(
                        f"rgb_jpeg[{row}, {t}] must have the size of the video's first "
                        f"frame, {_sides(found[0])}. Received: {_sides(size)}"
                    )
            sizes.append(found[0])
    else:
        for side in ("height", "width"):
            if (inputs[side] < 1).any():
                raise Refused(f"{side} must be at least 1 pixel")
        sizes = list(zip(inputs["height"], inputs["width"], strict=True))
    for row, images in enumerate(inputs.get("flow_jpeg", ())):
        height, width = sizes[row]
        expected = (pairs * padded(int(height)), 2 * padded(int(width)))
        for t, jpeg in enumerate(images):
            size = _size(f"flow_jpeg[{row}, {t}]", jpeg)
            if size != expected:
                raise Refused(
                    f"flow_jpeg[{row}, {t}] must be {_sides(expected)}: {pairs} flow "
                    f"pairs of a frame of {_sides((height, width))}. "
                    f"Received: {_sides(size)}"
                )


def _size(place: str, jpeg: bytes) -> tuple[int, int]:
    """Height and width in the header of a JPEG."""
    if not jpeg.startswith(_JPEG):
        raise Refused(f"{place} is no JPEG: it begins with {jpeg[:5]!r}")
    try:
        height, width, _ = tf.io.extract_jpeg_shape(jpeg).numpy().tolist()
    except tf.errors.InvalidArgumentError as error:
        raise Refused(f"{place} is a damaged JPEG: its header ends early") from error
    if height * width > MAX_PIXELS:
        raise Refused(
            f"{place} must have at most {MAX_PIXELS} pixels. Received: "
            f"{_sides((height, width))}"
        )
    return height, width


def undecodable(inputs: Arrays) -> str | None:
    """Name the first image that does not decode, after the graph failed."""
    for name in ("rgb_jpeg", "flow_jpeg"):
        for where, jpeg in np.ndenumerate(inputs.get(name, np.empty(0, object))):
            try:
                tf.io.decode_jpeg(jpeg)
            except tf.errors.InvalidArgumentError:
                return f"{_place(name, where)} is a damaged JPEG: it does not decode"
    return None


def _place(name: str, where: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, where))}]"


def _sides(size: tuple[int, int]) -> str:
    return f"{int(size[0])} x {int(size[1])} pixels"
