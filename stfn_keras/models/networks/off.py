"""OFF: optical flow guided features of the towers' maps, at several scales.

Source: Sun et al., "Optical Flow Guided Feature" (CVPR 2018), on our towers. Where
brightness constancy holds for features, their derivatives in space and time tell what
optical flow would. Of each pair of consecutive segments, at each scale,

    1 x 1 convolution to 128, ReLU -> difference of the two segments
    1 x 1 convolution to 32 -> Sobel along x and y -> dropout 0.8   (RGB alone)

and a residual network, the same for all pairs, reads them from the finest scale to the
coarsest. Every scale has a classifier on the mean over pairs; the last scale's is the
stream's own, those before it are there for their losses.

The paper takes nine maps of a BN-Inception, at 28, 14 and 7 pixels; here it is the last
map of each such stage that the tower has (C). The spatial part is of the earlier
segment of a pair (C). A video of one segment makes one pair without differences (C).
"""

from typing import Any

import keras

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models.feature_difference import FeatureDifference
from stfn_keras.models.logits_fusion import LogitsFusion
from stfn_keras.models.networks.ends import (
    Tensors,
    classified,
    pixel_inputs,
    scored,
    stream_pixels,
)
from stfn_keras.models.sobel import Sobel
from stfn_keras.models.taps import FEATURES, tapped_tower
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.towers import TOWERS

# By stage: kernel and stride of the first convolution, its channels, residual blocks.
SCALES = {"stage3": (7, 2, 64, 3), "stage4": (5, 2, 128, 2), "stage5": (3, 1, 256, 1)}
MOTION, SPACE = 128, 32  # channels of the 1 x 1 convolutions
SPATIAL_DROPOUT = 0.8
# Weight of a stream's OFF logits where those of its tower weigh 1 (T: 1.6 to 1 of RGB,
# 1.8 to 0.9 of flow). Between the streams that is 2.6 to 2.7: `flow_weight`. Of RGB
# differences theirs are OFF's alone, 0.6 (other streams: C).
OFF_WEIGHTS = {"rgb": (1.0, 1.6), "difference": (0.0, 1.0)}
OTHER_WEIGHTS = (1.0, 2.0)


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build the network from pixels to scores, with random weights.

    Args:
        config: `tower`, the streams and their weights, `segments`, `frames`, `pairs`,
            sizes, `dropout` and `combination` are read.
        classes: How many classes to tell apart.

    Returns:
        A model as `models.build` gives it. Besides `rgb_logits`, of the tower alone,
        there are `rgb_off_logits` and, of each scale before the last,
        `rgb_off_stage3_logits` ...; the same of the other streams. `logits` is the
        weighted mean of towers' and OFF logits of all streams.

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs = pixel_inputs(config)
    stages = [stage for stage in SCALES if stage in TOWERS[config.tower].taps]
    heads: Tensors = {}
    classifiers: Tensors = {}
    for stream, tensor in stream_pixels(config, inputs).items():
        tower = tapped_tower(config, stream, [*stages, FEATURES])
        wrapper = TimeDistributed(tower, dtype="float32", name=f"{stream}_features")
        maps = wrapper(tensor)  # (batch, segments, ...) of each
        vectors = {stream: maps.pop(FEATURES)}
        for stage, vector in _off(config, stream, maps).items():
            scale = "" if stage == stages[-1] else f"_{stage}"
            vectors[f"{stream}_off{scale}"] = vector
        logits = {
            name: _classified(config, classes, x, name) for name, x in vectors.items()
        }
        classifiers |= {f"{name}_logits": x for name, x in logits.items()}
        heads[stream] = LogitsFusion(
            OFF_WEIGHTS.get(stream, OTHER_WEIGHTS),
            config.combination,
            dtype="float32",
            name=f"{stream}_with_off",
        )([logits[stream], logits[f"{stream}_off"]])
    outputs = {**scored(config, heads), **classifiers}
    return keras.Model(inputs, outputs, name=config.network)


def check(config: ModelConfig) -> None:
    """Refuse a consensus that the towers would learn and their classifiers forget.

    Raises:
        UserError: It is not the mean; or a stream has no usual weight.
    """
    if "difference" in config.streams and not config.modality_weights:
        raise UserError(
            "OFF of RGB differences weighs less than the other streams: give "
            "--modality_weights, 2.6,2.7,0.6 for rgb,flow,difference (T). Received none"
        )
    if config.consensus != "mean":
        raise UserError(
            "--network=off takes the mean over segments of its towers' logits: "
            f"expected --consensus=mean. Received: {config.consensus}"
        )


def _off(config: ModelConfig, stream: str, maps: Tensors) -> Tensors:
    """Build the features of each scale: (batch, segments, ...) to (batch, pairs, C)."""
    shapes = {stage: tuple(x.shape[2:]) for stage, x in maps.items()}
    wrapper = TimeDistributed(
        _reduction(stream, shapes), dtype="float32", name=f"{stream}_off_reduction"
    )
    units = {}
    for name, x in wrapper(maps).items():
        if name.endswith("_motion"):
            units[name] = FeatureDifference(
                dtype="float32", name=f"{stream}_off_{name}"
            )(x)
        else:
            # Of each pair the earlier segment: all but the last.
            last = 1 if config.segments > 1 else 0
            units[name] = keras.layers.Cropping3D(
                ((0, last), (0, 0), (0, 0)),
                dtype="float32",
                name=f"{stream}_off_{name}",
            )(x)
    shapes = {name: tuple(x.shape[2:]) for name, x in units.items()}
    return TimeDistributed(
        _network(stream, shapes), dtype="float32", name=f"{stream}_off_scales"
    )(units)


def _reduction(stream: str, shapes: dict[str, tuple]) -> keras.Model:
    """Build the 1 x 1 convolutions of one segment, and what needs no other segment."""
    name = f"{stream}_off_reduction_step"
    with keras.name_scope(name):
        inputs = {n: keras.Input(shape, name=n) for n, shape in shapes.items()}
        outputs = {}
        for stage, x in inputs.items():
            motion = keras.layers.Conv2D(
                MOTION,
                1,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"{stage}_motion_conv",
            )
            outputs[f"{stage}_motion"] = motion(x)
            if stream != "rgb":
                continue
            y = keras.layers.Conv2D(SPACE, 1, name=f"{stage}_space_conv")(x)
            y = Sobel(name=f"{stage}_sobel")(y)
            y = keras.layers.Dropout(SPATIAL_DROPOUT, name=f"{stage}_space_dropout")(y)
            outputs[f"{stage}_space"] = y
        return keras.Model(inputs, outputs, name=name)


def _network(stream: str, shapes: dict[str, tuple]) -> keras.Model:
    """Build what reads the units of one pair, scale by scale, into vectors."""
    name = f"{stream}_off_scales_step"
    with keras.name_scope(name):
        inputs = {n: keras.Input(shape, name=n) for n, shape in shapes.items()}
        outputs: Tensors = {}
        before: list[keras.KerasTensor] = []
        for stage, (kernel, stride, channels, blocks) in SCALES.items():
            units = [x for n, x in inputs.items() if n.startswith(stage)]
            if not units:
                continue
            parts = [*units, *(_cropped(x, units[0], stage) for x in before)]
            x = parts[0]
            if len(parts) > 1:
                x = keras.layers.Concatenate(name=f"{stage}_parts")(parts)
            x = _convolution(x, channels, kernel, stride, f"{stage}_first")
            x = keras.layers.ReLU(name=f"{stage}_first_relu")(x)
            for block in range(1, blocks + 1):
                x = _bottleneck(x, channels, f"{stage}_block{block}")
            before = [x]
            outputs[stage] = keras.layers.GlobalAveragePooling2D(
                dtype="float32", name=f"{stage}_pool"
            )(x)
        return keras.Model(inputs, outputs, name=name)


def _cropped(x: keras.KerasTensor, like: keras.KerasTensor, stage: str) -> Any:
    """Cut maps to the size of the next scale's: a tower that does not pad has less."""
    more = [a - b for a, b in zip(x.shape[1:3], like.shape[1:3], strict=True)]
    if not any(more):
        return x
    cut = keras.layers.Cropping2D(tuple((0, n) for n in more), name=f"{stage}_crop")
    return cut(x)


def _convolution(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    # As in the other parts that learn from scratch (C).
    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)


def _bottleneck(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """1 x 1, 3 x 3 and 1 x 1 to four times the channels, beside the shortcut."""
    shortcut = x
    if x.shape[-1] != 4 * channels:
        shortcut = _convolution(x, 4 * channels, 1, 1, f"{name}_shortcut")
    x = _convolution(x, channels, 1, 1, f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, channels, 3, 1, f"{name}_2")
    x = keras.layers.ReLU(name=f"{name}_2_relu")(x)
    x = _convolution(x, 4 * channels, 1, 1, f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _classified(config: ModelConfig, classes: int, x: Any, name: str) -> Any:
    """Build the mean over segments or pairs and its classifier: float32 logits.

    The classifier is linear: of the mean it gives the mean of its logits.
    """
    x = keras.layers.GlobalAveragePooling1D(dtype="float32", name=f"{name}_pooled")(x)
    return classified(config, classes, x, name)
