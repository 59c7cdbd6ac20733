"""What a served graph refuses, with a message that names the input.

    views = guarded(views, shapes)             # shapes, batch sizes
    encoded = guarded_jpegs(encoded, pairs=5)  # encoded images, before any is decoded

A server does not check shapes against a signature, and some wrong ones would pass:
seven videos of three segments fold into three of seven, and a batch of one is broadcast
over the other stream's. The converters to other formats drop these operations.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.video.image import BLOCK, padded

MAX_PIXELS = 4096 * 4096  # of one encoded image: a small JPEG can decode to gigabytes
MAX_BYTES = 16 * 2**20  # of one encoded image
# One video is decoded after the other, so a video's pixels bound a request's memory: of
# frames 18 bytes each, .6 GB; mosaics take less. A request's pixels bound its time.
MAX_VIDEO_PIXELS = {"rgb_jpeg": 2**25, "flow_jpeg": 2**26}
MAX_REQUEST_PIXELS = 2**30  # of all images of one input
JPEG = b"\xff\xd8\xff"  # how every JPEG begins

Tensors = dict[str, tf.Tensor]


def guarded(
    inputs: Mapping[str, tf.Tensor], shapes: Mapping[str, Sequence[int | None]]
) -> Tensors:
    """Check the shapes of a signature's inputs and that their batches agree.

    Args:
        inputs: By name; floating-point ones must be finite, too.
        shapes: Of one sample, by name.

    Returns:
        The same tensors, which wait for the checks.
    """
    (first, *others), checked = list(inputs), {}
    for name, tensor in inputs.items():
        shaped = tf.ensure_shape(tensor, [None, *shapes[name]], name=name)
        if tensor.dtype.is_floating:
            shaped = tf.debugging.check_numerics(shaped, f"{name}: must be finite")
        checked[name] = shaped
    count = tf.shape(checked[first])[0]
    checks = [
        tf.debugging.assert_positive(count, f"{first}: expected at least one sample")
    ]
    checks += [
        tf.debugging.assert_equal(
            tf.shape(checked[name])[0], count,
            f"{name}: expected as many samples as {first}",
        )
        for name in others
    ]  # fmt: skip
    return _after(checks, checked)


def guarded_jpegs(encoded: Mapping[str, tf.Tensor], pairs: int) -> Tensors:
    """Check encoded images by their headers, before any is decoded.

    Args:
        encoded: Inputs of `serve_jpeg`, their shapes and batches checked: see
            `stfn_keras.video.centre`.
        pairs: Flow pairs L per mosaic.

    Returns:
        The same tensors, which wait for the checks: each is a JPEG of at most
        `MAX_BYTES` and `MAX_PIXELS`; a video's and the request's are of so many pixels
        at most; a video's frames have one size; its mosaics hold L pairs of that size.
    """
    sides = {name: _sides(encoded[name], name) for name in encoded if "_jpeg" in name}
    checks = []
    if "rgb_jpeg" in encoded:
        frames = sides["rgb_jpeg"]  # (batch, T, 2)
        checks.append(
            tf.debugging.assert_equal(
                frames, tf.broadcast_to(frames[:, :1], tf.shape(frames)),
                "rgb_jpeg: expected the frames of a video to have one size",
            )
        )  # fmt: skip
        size = frames[:, 0]
    else:
        size = tf.stack([encoded["height"], encoded["width"]], axis=1)
        for name in ("height", "width"):
            checks.append(
                tf.debugging.assert_positive(
                    encoded[name], f"{name}: expected a size in pixels"
                )
            )
    if "flow_jpeg" in encoded:
        tile = padded(size)  # (batch, 2), padded to whole JPEG blocks
        mosaics = sides["flow_jpeg"]
        expected = (tile * tf.constant([pairs, 2]))[:, None]
        checks.append(
            tf.debugging.assert_equal(
                mosaics, tf.broadcast_to(expected, tf.shape(mosaics)),
                f"flow_jpeg: expected mosaics of {pairs} rows of two tiles, each of "
                f"the video's height and width rounded up to multiples of {BLOCK}",
            )
        )  # fmt: skip
    return _after(checks, encoded)


def check_servable(model: ModelConfig, height: int, width: int) -> None:
    """Refuse a network whose own videos its `serve_jpeg` would refuse.

    Args:
        model: What it was built from.
        height: Of its data's frames, in pixels.
        width: Likewise.

    Raises:
        UserError: Says by how much they are too large.
    """
    tile = padded(height) * padded(width)
    each = {
        "rgb": model.frames * height * width,
        "flow": 2 * model.pairs * tile,
    }
    for stream in model.inputs:
        found, most = model.segments * each[stream], MAX_VIDEO_PIXELS[f"{stream}_jpeg"]
        if found > most:
            flag = {"rgb": "frames", "flow": "pairs"}[stream]
            fewer = f" or --{flag}" if getattr(model, flag) > 1 else ""
            raise UserError(
                f"expected at most {most} pixels of {stream} a video, which a server "
                f"decodes at once. Received {found}: {model.segments} segments of "
                f"{width}x{height} pixels"
                + (f" and {model.pairs} flow pairs" if stream == "flow" else "")
                + (f", {model.frames} of each" if stream == "rgb" else "")
                + f". Train with fewer --segments{fewer}, or on data of a smaller "
                "--size"
            )


def _sides(jpegs: tf.Tensor, name: str) -> tf.Tensor:
    """Height and width of encoded images, checked; int32 (batch, T, 2)."""
    flat = tf.reshape(jpegs, [-1])
    length = tf.strings.length(flat)
    begun = tf.strings.substr(flat, 0, len(JPEG))
    checks = [
        tf.debugging.assert_equal(
            tf.reduce_all(begun == JPEG), True, f"{name}: expected JPEG images"
        ),
        tf.debugging.assert_less_equal(
            length, MAX_BYTES, f"{name}: expected at most {MAX_BYTES} bytes an image"
        ),
    ]
    with tf.control_dependencies(checks):
        flat = tf.identity(flat)
    sides = tf.map_fn(
        lambda jpeg: tf.io.extract_jpeg_shape(jpeg, name=name)[:2],
        flat,
        fn_output_signature=tf.TensorSpec([2], tf.int32),
    )
    sides = tf.reshape(sides, [-1, jpegs.shape[1], 2])
    pixels = tf.reduce_prod(tf.cast(sides, tf.int64), axis=2)  # (batch, T)
    videos = tf.reduce_sum(pixels, axis=1)
    limits = [
        tf.debugging.assert_less_equal(
            found, tf.constant(most, tf.int64),
            f"{name}: expected at most {most} pixels {of}",
        )
        for found, most, of in (
            (pixels, MAX_PIXELS, "an image"),
            (videos, MAX_VIDEO_PIXELS[name], "a video, all its images together"),
            (tf.reduce_sum(videos), MAX_REQUEST_PIXELS, "a request, all its videos"),
        )
    ]  # fmt: skip
    with tf.control_dependencies(limits):
        return tf.identity(sides)


def _after(checks: list[tf.Operation], tensors: Mapping[str, tf.Tensor]) -> Tensors:
    # Checks that Python already settled while tracing are None.
    with tf.control_dependencies([check for check in checks if check is not None]):
        return {name: tf.identity(tensor) for name, tensor in tensors.items()}
