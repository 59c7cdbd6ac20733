"""A trained network as a SavedModel that TF Serving loads.

    module = ServingModule(network, labels=("PushUps", ...))
    module.save(folder)

Signatures, T segments per video:

- `serving_default`: `rgb` uint8 (batch, T, H, W, 3F), F frames one behind the other,
  `flow` uint8 (batch, T, H2, W2, 2L) -> `scores`, `logits` float32 (batch, classes).
- `serve_jpeg`: `rgb_jpeg` string (batch, T F), segment by segment, `flow_jpeg` string
  (batch, T), encoded as in the shards and of any stored size -> the same, and the best
  classes' `labels` string and `label_scores` float32 (batch, 5). The centre view is
  taken inside, by the code that evaluation runs. A network without RGB is told the true
  size of the flow: `height` and `width` int32 (batch,).
- `features`: one segment, `rgb` uint8 (batch, H, W, 3F), `flow` uint8
  (batch, H2, W2, 2L) -> `<stream>_features` float32 (batch, features) of each stream.
- `fuse`: these, float32 (batch, T, features) -> `scores`, `logits`. So a live stream
  computes its newest segment alone.

A network has the inputs that its streams read. One that reads more of its
towers than their pooled features, or whose towers mix segments, has no `features` and
no `fuse`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import STREAMS
from stfn_keras.errors import UserError
from stfn_keras.exporting.guards import guarded, guarded_jpegs
from stfn_keras.serving.runtimes.base import extent_of
from stfn_keras.video.centre import centre_views

BEST = 5  # classes that `serve_jpeg` names

Tensors = dict[str, tf.Tensor]
Shapes = dict[str, tuple[int, ...]]  # of one sample, by input


class ServingModule(tf.Module):
    """The network's variables, once, and its signatures.

    Args:
        network: From uint8 views to `logits` and `scores`.
        labels: Names of the classes.

    Attributes:
        inputs: Shape (T, height, width, channels) of one video's view, by stream.

    Raises:
        UserError: Keras computes with another backend than TensorFlow.
    """

    def __init__(self, network: keras.Model, labels: Sequence[str]) -> None:
        super().__init__(name="stfn")
        if (backend := keras.backend.backend()) != "tensorflow":
            raise UserError(
                f"exporting needs KERAS_BACKEND=tensorflow, whatever backend the run "
                f"was trained with. Received: {backend}"
            )
        # Tracking the Keras model itself would store its weights a second time.
        self._variables = [variable.value for variable in network.variables]
        self.inputs: Shapes = {
            stream: tuple(int(side) for side in tensor.shape[1:])
            for stream, tensor in network.input.items()
        }

        def classify(**inputs: tf.Tensor) -> Tensors:
            return _outputs(network(guarded(inputs, self.inputs), training=False))

        default = _traced(classify, self.inputs, tf.uint8)
        self._functions = {
            "serving_default": default,
            "serve_jpeg": self._serve_jpeg(default, labels),
        }
        if _is_apart(network):
            self._functions["features"] = self._features(network)
            self._functions["fuse"] = _fuse(network)

    def _serve_jpeg(
        self, classify: tf.types.experimental.ConcreteFunction, labels: Sequence[str]
    ) -> tf.types.experimental.ConcreteFunction:
        sizes = {stream: shape[1] for stream, shape in self.inputs.items()}
        extent = extent_of(self.inputs)
        per = {"rgb": extent.frames, "flow": 1}  # images of a segment
        shapes: Shapes = {
            f"{s}_jpeg": (shape[0] * per[s],) for s, shape in self.inputs.items()
        }
        types = dict.fromkeys(shapes, tf.string)
        if "rgb" not in self.inputs:
            shapes |= {"height": (), "width": ()}
            types |= {"height": tf.int32, "width": tf.int32}
        specs = {
            name: tf.TensorSpec([None, *shape], types[name], name)
            for name, shape in shapes.items()
        }
        words, best = tf.constant(list(labels)), min(BEST, len(labels))

        def call(**inputs: tf.Tensor) -> Tensors:
            encoded = guarded_jpegs(guarded(inputs, shapes), extent.pairs)
            found = classify(**centre_views(encoded, sizes, extent))
            highest = tf.math.top_k(found["scores"], best)
            named = tf.gather(words, highest.indices)
            return {**found, "labels": named, "label_scores": highest.values}

        return tf.function(call, autograph=False).get_concrete_function(**specs)

    def _features(self, network: keras.Model) -> tf.types.experimental.ConcreteFunction:
        shapes = {name: shape[1:] for name, shape in self.inputs.items()}
        towers = _towers(network)

        def call(**inputs: tf.Tensor) -> Tensors:
            checked = guarded(inputs, shapes)
            return {
                layer: tf.cast(tower(checked[pixels], training=False), tf.float32)
                for layer, (pixels, tower) in towers.items()
            }

        return _traced(call, shapes, tf.uint8)

    def save(self, folder: Path) -> None:
        """Write the SavedModel with all signatures."""
        tf.saved_model.save(self, str(folder), signatures=dict(self._functions))


def _is_apart(network: keras.Model) -> bool:
    """Whether each tower gives a vector of each segment alone, and nothing else."""
    wrappers = [layer for layer in network.layers if layer.name.endswith("_features")]
    vectors = [
        layer
        for layer in wrappers
        if isinstance(layer.output, keras.KerasTensor)
        and len(layer.output.shape) == 3
        and not models.mixes_segments(layer.layer)
    ]
    return len(vectors) == len(wrappers) > 0


def _towers(network: keras.Model) -> dict[str, tuple[str, keras.Model]]:
    """By the name of its features, the input that each tower reads, and the tower."""
    wrappers = [layer for layer in network.layers if layer.name.endswith("_features")]
    return {
        wrapper.name: (STREAMS[wrapper.name.removesuffix("_features")].reads,
                       wrapper.layer)
        for wrapper in wrappers
    }  # fmt: skip


def _fuse(network: keras.Model) -> tf.types.experimental.ConcreteFunction:
    """Everything above the towers."""
    features = {name: network.get_layer(name).output for name in _towers(network)}
    head = keras.Model(list(features.values()), _outputs(network.output))
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in features.items()}

    def call(**inputs: tf.Tensor) -> Tensors:
        checked = guarded(inputs, shapes)
        return _outputs(head([checked[name] for name in shapes], training=False))

    return _traced(call, shapes, tf.float32)


def _outputs(found: dict) -> dict:
    return {name: found[name] for name in ("scores", "logits")}


def _traced(
    call: Callable[..., Tensors], shapes: Shapes, dtype: tf.DType
) -> tf.types.experimental.ConcreteFunction:
    specs = {
        name: tf.TensorSpec([None, *shape], dtype, name)
        for name, shape in shapes.items()
    }
    return tf.function(call, autograph=False).get_concrete_function(**specs)
