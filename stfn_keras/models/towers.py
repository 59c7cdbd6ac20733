"""The towers by name: the networks that turn a frame or a flow stack into a vector.

tower = build_tower(ModelConfig(tower="tiny"), "flow")
tower.output_shape  # (None, 128)

A new tower is one entry of `TOWERS` and one choice in `stfn_keras.config`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import convnext, efficientnet_lite, tiny
from stfn_keras.models.preprocessing import Preprocess

# Names that Keras counts up over a whole process, and so differ between two models.
AUTOMATIC = (
    r"(conv2d|batch_normalization|activation|concatenate|average_pooling2d"
    r"|max_pooling2d)(?:_\d+)?"
)

Body = Callable[[keras.KerasTensor], keras.KerasTensor]


@dataclass(frozen=True)
class Tower:
    """What is known of a tower.

    Attributes:
        body: Builds the graph from scaled images to pooled features.
        features: Length of the feature vector.
        mode: The mode of its `Preprocess` layer.
        size: Side of its usual input, pixels.
        minimum: Side of the smallest input that it accepts, pixels.
        application: Its constructor in `keras.applications`, which knows where
            its ImageNet weights are; None where Keras does not have it.
        anonymous: Whether Keras leaves its layers with automatic names.
        flat: Whether the body is ours and flat where the application nests models;
            both have the same weights in the same order.
    """

    body: Body
    features: int
    mode: str
    size: int
    minimum: int = 32
    application: Callable[..., keras.Model] | None = None
    anonymous: bool = False
    flat: bool = False


def _body(
    application: Callable[..., keras.Model], x: Any, **options: Any
) -> keras.KerasTensor:
    maps = application(
        include_top=False, weights=None, input_tensor=x, **options
    ).output
    pool = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")
    return pool(maps)


def _application(
    name: str, features: int, mode: str, size: int = 224, **options: Any
) -> Tower:
    application = getattr(keras.applications, name)
    body = partial(_body, application)
    return Tower(body, features, mode, size, application=application, **options)


def _efficientnet_v2(name: str, mode: str, size: int) -> Tower:
    """An application that would scale RGB itself, where it is not told otherwise."""
    application = getattr(keras.applications, name)
    body = partial(_body, application, include_preprocessing=False)
    return Tower(body, 1280, mode, size, application=application)


def _convnext(name: str, depths: tuple[int, ...]) -> Tower:
    application = getattr(keras.applications, name)
    body = partial(convnext.convnext, depths=depths)
    return Tower(
        body, convnext.FEATURES, "torch", 224, application=application, flat=True
    )


TOWERS = {
    "resnet50": _application("ResNet50", 2048, "caffe"),
    "resnet101": _application("ResNet101", 2048, "caffe"),
    "resnet152": _application("ResNet152", 2048, "caffe"),
    "inception_v3": _application(
        "InceptionV3", 2048, "tf", 299, minimum=75, anonymous=True
    ),
    "mobilenet_v2": _application("MobileNetV2", 1280, "tf"),
    "efficientnet_lite0": Tower(
        efficientnet_lite.efficientnet_lite0, efficientnet_lite.FEATURES, "lite", 224
    ),
    "efficientnet_v2_b0": _efficientnet_v2("EfficientNetV2B0", "torch", 224),
    "efficientnet_v2_s": _efficientnet_v2("EfficientNetV2S", "signed", 384),
    "convnext_tiny": _convnext("ConvNeXtTiny", convnext.TINY),
    "convnext_small": _convnext("ConvNeXtSmall", convnext.SMALL),
    "tiny": Tower(tiny.tiny, tiny.FEATURES, "tf", 64, minimum=16),
}


def input_size(config: ModelConfig, stream: str) -> int:
    """Return the side in pixels of a stream's square input.

    A flow size of 0 follows the RGB size, and an RGB size of 0 is the tower's own.

    Raises:
        UserError: The tower cannot take an input so small.
    """
    tower = TOWERS[config.tower]
    size = config.rgb_size or tower.size
    if stream == "flow" and config.flow_size:
        size = config.flow_size
    if size < tower.minimum:
        raise UserError(
            f"--tower={config.tower} needs an input of {tower.minimum} pixels or "
            f"more; set --{stream}_size. Received: {size}"
        )
    return size


def input_channels(config: ModelConfig, stream: str) -> int:
    """Return the channels of a stream's input: RGB, or (u, v) of each flow pair."""
    return 3 if stream == "rgb" else 2 * config.pairs


def feature_size(config: ModelConfig) -> int:
    """Return the length of the feature vector that the towers give per segment."""
    return TOWERS[config.tower].features


def build_tower(config: ModelConfig, stream: str) -> keras.Model:
    """Build one stream's tower, preprocessing included, with random weights.

    The layers of each stage keep the names that they have in Keras, so that they
    can be tapped; Inception-v3, which has automatic names there, gets `conv2d_1`,
    `batch_normalization_1` ... in the order of `model.layers`, and ConvNeXt has
    names of ours (`models/convnext.py`).

    Args:
        config: Names the tower and the sizes.
        stream: `rgb` or `flow`.

    Returns:
        A model from uint8 `(batch, size, size, channels)` to features
        `(batch, features)`, pooled and given in float32 also in mixed precision.

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    tower = TOWERS[config.tower]
    size = input_size(config, stream)
    name = f"{stream}_tower"
    # The scope tells the variables of both streams' towers apart by their path.
    with keras.name_scope(name):
        inputs = keras.Input(
            (size, size, input_channels(config, stream)), dtype="uint8", name=stream
        )
        x = Preprocess(tower.mode, stream, name="preprocess")(inputs)
        model = keras.Model(inputs, tower.body(x), name=name)
        if tower.anonymous:
            model = _numbered(model, inputs)
    return model


def _numbered(model: keras.Model, inputs: keras.KerasTensor) -> keras.Model:
    """Copy a model, counting each kind of automatically named layer from 1."""
    counts: dict[str, int] = {}

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        match = re.fullmatch(AUTOMATIC, layer.name)
        if match:
            kind = match[1]
            counts[kind] = counts.get(kind, 0) + 1
            config["name"] = f"{kind}_{counts[kind]}"
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, inputs, clone_function=renamed)
    return keras.Model(clone.inputs[0], clone.outputs[0], name=model.name)
