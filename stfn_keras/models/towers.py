"""The towers by name: the networks that turn a frame or a flow stack into a vector.

tower = build_tower(ModelConfig(tower="tiny"), "flow")
tower.output_shape  # (None, 128)

A new tower is one entry of `TOWERS` and one choice in `stfn_keras.config`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras

from stfn_keras.config import NETWORKS, STREAMS, ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import convnext, efficientnet_lite, inception_v1, tiny
from stfn_keras.models.inflated_resnet import inflated
from stfn_keras.models.preprocessing import Preprocess

# Names that Keras counts up over a whole process, and so differ between two models.
AUTOMATIC = (
    r"(conv2d|batch_normalization|activation|concatenate|average_pooling2d"
    r"|max_pooling2d)(?:_\d+)?"
)

Body = Callable[[keras.KerasTensor], keras.KerasTensor]
STAGES = ("stage2", "stage3", "stage4", "stage5")  # strides 4, 8, 16 and 32
LEAST_STEPS = 8  # of a clip: the towers' stride in time


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
        taps: By stage, the layer whose output is the last map of its stride: the end
            of the last block, before the next block widens it (C). `stage5` is the
            last map of all, before pooling.
        time: Whether the body reads a clip, `(batch, steps, height, width, channels)`,
            in place of an image.
    """

    body: Body
    features: int
    mode: str
    size: int
    minimum: int = 32
    application: Callable[..., keras.Model] | None = None
    anonymous: bool = False
    flat: bool = False
    taps: Mapping[str, str] = field(default_factory=dict)
    time: bool = False


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


def _stages(*layers: str) -> dict[str, str]:
    return dict(zip(STAGES, layers, strict=True))


def _resnet(name: str, blocks: tuple[int, ...]) -> Tower:
    ends = [f"conv{i}_block{count}_out" for i, count in enumerate(blocks, 2)]
    return _application(name, 2048, "caffe", taps=_stages(*ends))


def _efficientnet_v2(name: str, mode: str, size: int, taps: dict[str, str]) -> Tower:
    """An application that would scale RGB itself, where it is not told otherwise."""
    application = getattr(keras.applications, name)
    body = partial(_body, application, include_preprocessing=False)
    return Tower(body, 1280, mode, size, application=application, taps=taps)


def _convnext(name: str, depths: tuple[int, ...]) -> Tower:
    return Tower(
        partial(convnext.convnext, depths=depths),
        convnext.FEATURES,
        "torch",
        224,
        application=getattr(keras.applications, name),
        flat=True,
        taps=_stages(*(f"stage{i}_block{n - 1}_add" for i, n in enumerate(depths))),
    )


TOWERS = {
    "resnet50": _resnet("ResNet50", (3, 4, 6, 3)),
    "resnet101": _resnet("ResNet101", (3, 4, 23, 3)),
    "resnet152": _resnet("ResNet152", (3, 8, 36, 3)),
    "inception_v3": _application(
        "InceptionV3", 2048, "tf", 299, minimum=75, anonymous=True,
        taps=_stages("activation_5", "mixed2", "mixed7", "mixed10"),
    ),
    "mobilenet_v2": _application(
        "MobileNetV2", 1280, "tf",
        taps=_stages("block_2_add", "block_5_add", "block_12_add", "out_relu"),
    ),
    "efficientnet_lite0": Tower(
        efficientnet_lite.efficientnet_lite0, efficientnet_lite.FEATURES, "lite", 224,
        taps=_stages("block2b_add", "block3b_add", "block5c_add", "head_relu"),
    ),
    "efficientnet_v2_b0": _efficientnet_v2(
        "EfficientNetV2B0", "torch", 224,
        _stages("block2b_add", "block3b_add", "block5e_add", "top_activation"),
    ),
    "efficientnet_v2_s": _efficientnet_v2(
        "EfficientNetV2S", "signed", 384,
        _stages("block2d_add", "block3d_add", "block5i_add", "top_activation"),
    ),
    "convnext_tiny": _convnext("ConvNeXtTiny", convnext.TINY),
    "convnext_small": _convnext("ConvNeXtSmall", convnext.SMALL),
    "inception_v1": Tower(
        inception_v1.inception_v1, inception_v1.FEATURES, "tf", 224,
        taps=_stages("Conv2d_2c_3x3_relu", "Mixed_3c", "Mixed_4f", "Mixed_5c"),
    ),
    "i3d": Tower(
        inception_v1.inception_v1, inception_v1.FEATURES, "tf", 224, time=True
    ),
    "i3d_resnet50": Tower(
        partial(inflated, keras.applications.ResNet50), 2048, "caffe", 224,
        application=keras.applications.ResNet50, time=True,
    ),
    "tiny": Tower(  # its last stride is 16
        tiny.tiny, tiny.FEATURES, "tf", 64, minimum=16,
        taps={"stage2": "relu2", "stage3": "relu3", "stage5": "relu4"},
    ),
}  # fmt: skip


def input_size(config: ModelConfig, stream: str) -> int:
    """Return the side in pixels of a stream's square input, or of `rgb` or `flow`.

    A flow size of 0 follows the RGB size, and an RGB size of 0 is the tower's own.

    Raises:
        UserError: The tower cannot take an input so small.
    """
    tower = TOWERS[config.tower]
    size = config.rgb_size or tower.size
    pixels = STREAMS[stream].reads
    if pixels == "flow" and config.flow_size:
        size = config.flow_size
    if size < tower.minimum:
        raise UserError(
            f"--tower={config.tower} needs an input of {tower.minimum} pixels or "
            f"more; set --{pixels}_size. Received: {size}"
        )
    return size


def input_channels(config: ModelConfig, stream: str) -> int:
    """Return the channels of a stream's input: of all its frames, or of all pairs.

    They lie one behind the other: (r, g, b) of each frame, (u, v) of each flow pair.
    """
    return 3 * config.frames if STREAMS[stream].reads == "rgb" else 2 * config.pairs


def check_clips(config: ModelConfig) -> None:
    """Refuse what a tower that reads clips cannot be shown.

    Raises:
        UserError: The network reads more of a tower than its features; or a stream is
            none of frames or flow pairs as they are, or too short.
    """
    if not TOWERS[config.tower].time:
        return
    if not NETWORKS[config.network].pooled:
        raise UserError(
            f"--network={config.network} reads the maps of towers of images. Received: "
            f"--tower={config.tower}, which reads clips; give another tower"
        )
    for stream in config.streams:
        _check_clip(config, stream)


def _check_clip(config: ModelConfig, stream: str) -> None:
    if stream not in ("rgb", "flow"):
        raise UserError(
            f"--tower={config.tower} reads clips, of the streams rgb and flow alone. "
            f"Received: {stream}; give --modalities=rgb,flow or a tower of images"
        )
    flag = {"rgb": "frames", "flow": "pairs"}[stream]
    if getattr(config, flag) < LEAST_STEPS:
        raise UserError(
            f"--tower={config.tower} reads clips of {LEAST_STEPS} {flag} or more: give "
            f"--{flag}=64, say. Received: --{flag}={getattr(config, flag)}"
        )


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
        stream: One of `STREAMS`.

    Returns:
        A model from uint8 `(batch, size, size, channels)` to features
        `(batch, features)`, pooled and given in float32 also in mixed precision.

    Raises:
        UserError: The tower cannot take an input of the configured size, or is of
            clips and the stream is not.
    """
    tower = TOWERS[config.tower]
    size = input_size(config, stream)
    if tower.time:
        _check_clip(config, stream)
    name = f"{stream}_tower"
    # The scope tells the variables of both streams' towers apart by their path.
    with keras.name_scope(name):
        inputs = keras.Input(
            (size, size, input_channels(config, stream)),
            dtype="uint8",
            name=STREAMS[stream].reads,
        )
        x = Preprocess(tower.mode, stream, tower.time, name="preprocess")(inputs)
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
