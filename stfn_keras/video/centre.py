"""The centre view of encoded videos, as evaluation, servers and prediction take it.

    views = centre_views({"rgb_jpeg": jpegs, "flow_jpeg": mosaics},
                         sizes={"rgb": 224, "flow": 224}, extent=Extent(1, 5))
    views["flow"]  # uint8 (batch, T, 224, 224, 10)

Encoded videos have the names of the exported signature `serve_jpeg`: `rgb_jpeg` and
`flow_jpeg`, strings, and where there is no RGB to tell it the stored size of the frames
in pixels, `height` and `width`, int32.
"""

from collections.abc import Mapping

import tensorflow as tf

from stfn_keras.video import view
from stfn_keras.video.extent import Extent
from stfn_keras.video.joined import joined_frames


def centre_view(
    encoded: Mapping[str, tf.Tensor], sizes: Mapping[str, int], extent: Extent
) -> dict[str, tf.Tensor]:
    """Decode one video's T snippets and crop both streams alike.

    Args:
        encoded: `rgb_jpeg` (T x frames,), snippet by snippet, and `flow_jpeg` (T,), one
            of them or both; `height` and `width` (), which count where there is no
            `rgb_jpeg`.
        sizes: Side of the network's input in pixels, by stream; others are left out.
        extent: Frames and flow pairs L of a snippet.

    Returns:
        `rgb` uint8 (T, size, size, 3 frames) and `flow` uint8 (T, size, size, 2L), as
        `sizes` asks for them.
    """
    views = {}
    if "rgb_jpeg" in encoded:
        frames = view.decode_frames(encoded["rgb_jpeg"])
        height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    else:
        height, width = encoded["height"], encoded["width"]
    crop = view.centre_crop(height, width)
    if "rgb" in sizes:
        cropped = view.crop_rgb(frames, crop, sizes["rgb"])
        views["rgb"] = joined_frames(cropped, extent.frames)
    if "flow" in sizes:
        views["flow"] = view.cropped_flows(
            encoded["flow_jpeg"], height, width, extent.pairs, crop, sizes["flow"]
        )
    return views


def centre_views(
    encoded: Mapping[str, tf.Tensor], sizes: Mapping[str, int], extent: Extent
) -> dict[str, tf.Tensor]:
    """`centre_view` of a batch of videos, whose stored sizes may differ.

    Args:
        encoded: Strings (batch, T x frames) and (batch, T), and int32 (batch,).
        sizes: Side of the network's input in pixels, by stream.
        extent: Frames and flow pairs L of a snippet.

    Returns:
        uint8 (batch, T, size, size, channels) by stream.
    """
    return _centre_views(encoded, sizes, extent.frames, extent.pairs)


@tf.function(autograph=False)
def _centre_views(
    encoded: Mapping[str, tf.Tensor], sizes: Mapping[str, int], frames: int, pairs: int
) -> dict[str, tf.Tensor]:
    if "flow_jpeg" in encoded:
        segments = encoded["flow_jpeg"].shape[1]
    else:
        segments = encoded["rgb_jpeg"].shape[1] // frames
    channels = {"rgb": 3 * frames, "flow": 2 * pairs}
    signature = {
        stream: tf.TensorSpec([segments, size, size, channels[stream]], tf.uint8)
        for stream, size in sizes.items()
    }
    return tf.map_fn(
        lambda video: centre_view(video, sizes, Extent(frames, pairs)),
        dict(encoded),
        fn_output_signature=signature,
        # A video's images are decoded at once; many videos' would fill the memory.
        parallel_iterations=1,
    )
