"""A trained network as a SavedModel that TF Serving loads.

    module = ServingModule(network, pairs=5)
    module.save(folder)

Signatures, T segments per video:

- `serving_default`: `rgb` uint8 (batch, T, H, W, 3), `flow` uint8
  (batch, T, H2, W2, 2L) -> `scores`, `logits` float32 (batch, classes).
- `serve_jpeg`: `rgb_jpeg` string (batch, T), `flow_jpeg` string (batch, T), encoded
  as in the shards and of any stored size -> the same. The centre view is taken
  inside, by the code that evaluation runs. A network without RGB is told the true
  size of the flow: `height` and `width` int32 (batch,).

A network of one stream has that stream's inputs alone.
"""

from pathlib import Path

import keras
import tensorflow as tf

from stfn_keras.training.stages import input_sizes
from stfn_keras.video import view

MAX_PIXELS = 4096 * 4096  # of one encoded image: a small JPEG can decode to gigabytes


def _checked(jpeg: tf.Tensor) -> tf.Tensor:
    """Refuse an image that would decode to too many pixels."""
    shape = tf.cast(tf.io.extract_jpeg_shape(jpeg), tf.int64)
    message = f"an encoded image must have at most {MAX_PIXELS} pixels"
    check = tf.debugging.assert_less_equal(
        shape[0] * shape[1], tf.constant(MAX_PIXELS, tf.int64), message
    )
    with tf.control_dependencies([check]):
        return tf.identity(jpeg)


def _checked_all(jpegs: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(_checked, jpegs)


class ServingModule(tf.Module):
    """The network's variables, once, and its signatures.

    Args:
        network: From uint8 views to `logits` and `scores`.
        pairs: Flow pairs L per snippet.
    """

    def __init__(self, network: keras.Model, pairs: int) -> None:
        super().__init__(name="stfn")
        # Tracking the Keras model itself would store its weights a second time.
        self._variables = [variable.value for variable in network.variables]
        self._sizes = input_sizes(network)
        self._pairs = pairs
        self._segments = int(next(iter(network.input.values())).shape[1])
        specs = {
            stream: tf.TensorSpec(tensor.shape, tf.uint8, name=stream)
            for stream, tensor in network.input.items()
        }

        def call(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            found = network(inputs, training=False)
            return {"scores": found["scores"], "logits": found["logits"]}

        self._call = call
        self.serving_default = tf.function(call, input_signature=None)
        self._default = self.serving_default.get_concrete_function(**specs)
        self._jpeg = self._jpeg_function()

    def _jpeg_function(self) -> tf.types.experimental.ConcreteFunction:
        streams = tuple(self._sizes)
        specs = {
            f"{s}_jpeg": tf.TensorSpec([None, self._segments], tf.string, f"{s}_jpeg")
            for s in streams
        }
        if streams == ("flow",):
            for side in ("height", "width"):
                specs[side] = tf.TensorSpec([None], tf.int32, name=side)
        signature = {
            stream: tf.TensorSpec(
                [self._segments, self._sizes[stream], self._sizes[stream],
                 3 if stream == "rgb" else 2 * self._pairs], tf.uint8,
            )
            for stream in streams
        }  # fmt: skip

        def call(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            views = tf.map_fn(self._view, inputs, fn_output_signature=signature)
            return self._call(**views)

        return tf.function(call).get_concrete_function(**specs)

    def _view(self, encoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The centre view of one video's encoded snippets."""
        views = {}
        frames = None
        if "rgb_jpeg" in encoded:
            frames = view.decode_frames(_checked_all(encoded["rgb_jpeg"]))
            height, width = tf.shape(frames)[1], tf.shape(frames)[2]
        else:
            height, width = encoded["height"], encoded["width"]
        crop = view.centre_crop(height, width)
        if frames is not None:
            views["rgb"] = view.crop_rgb(frames, crop, self._sizes["rgb"])
        if "flow_jpeg" in encoded:
            codes = view.decode_flows(
                _checked_all(encoded["flow_jpeg"]), height, width, self._pairs
            )
            views["flow"] = view.crop_flow(codes, crop, self._sizes["flow"])
        return views

    def save(self, folder: Path) -> None:
        """Write the SavedModel with both signatures."""
        tf.saved_model.save(
            self,
            str(folder),
            signatures={"serving_default": self._default, "serve_jpeg": self._jpeg},
        )
