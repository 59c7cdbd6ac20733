"""TDN's short-term module: how a segment's frames differ, added to what one shows.

tower = build_tower(config, "rgb")
tower = with_short_term_difference(tower, "caffe", stage2="conv2_block3_out")

T: Wang et al. 2021, "TDN: Temporal difference networks for efficient action
recognition", section 3.2. The tower itself reads the middle frame of the segment.
"""

from typing import Any

import keras
from keras import ops

from stfn_keras.models.layer_scale import LayerScale
from stfn_keras.models.lift import Lift
from stfn_keras.models.preprocessing import Preprocess
from stfn_keras.models.residual_blocks import insert

FIRST_POOL = "pool1_pool"  # of a ResNet; other towers have no such place
FILTERS = 64


@keras.saving.register_keras_serializable(package="stfn_keras")
class MiddleFrame(Lift):
    """Take the middle one of frames that lie behind each other in the channels.

    Of an even number it is the later one of the two in the middle (C).

    Input shape:
        `(batch, height, width, 3 * frames)`; values keep their type, uint8 too.

    Output shape:
        `(batch, height, width, 3)`.

    Example:
    >>> MiddleFrame()(keras.ops.ones((1, 8, 8, 15))).shape
    (1, 8, 8, 3)
    """

    def call(self, inputs: Any) -> Any:
        """Return the middle frame."""
        first = 3 * (inputs.shape[-1] // 3 // 2)
        return inputs[..., first : first + 3]

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Give the shape of a frame, and the input's type."""
        return keras.KerasTensor((*inputs.shape[:-1], 3), dtype=inputs.dtype)


@keras.saving.register_keras_serializable(package="stfn_keras")
class DifferenceStem(Lift):
    """Read differences as a ResNet's first layers read a frame, at half its size.

    Mean of 2 x 2, convolution 7 x 7 of stride 2, batch normalisation, ReLU, maximum of
    3 x 3 with stride 2 (T). The convolution starts at random (C).

    Args:
        filters: Channels of the convolution.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height / 8, width / 8, filters)`, rounded up at each halving.

    Example:
    >>> DifferenceStem(64)(keras.ops.ones((1, 64, 64, 12))).shape
    (1, 8, 8, 64)
    """

    def __init__(self, filters: int = FILTERS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        """Create the convolution."""
        self.convolution = _Convolution(
            self.filters, 7, 2, dtype=self.dtype_policy, name="convolution"
        )
        self.convolution.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the maps."""
        x = ops.average_pool(inputs, 2, 2, padding="same")
        x = ops.relu(self.convolution(x, training=training))
        return ops.max_pool(x, 3, 2, padding="same")

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the shape of the maps."""
        batch, height, width, _ = input_shape
        return (batch, -(-height // 8), -(-width // 8), self.filters)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="stfn_keras")
class DifferenceUnit(Lift):
    """A residual unit of 1 x 1, 3 x 3 and 1 x 1 convolutions beside a 1 x 1 shortcut.

    TDN has its tower's whole second stage once more here; this is one such unit (C).

    Args:
        filters: Channels of the output; a quarter of them inside.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, filters)`.

    Example:
    >>> DifferenceUnit(256)(keras.ops.ones((1, 8, 8, 64))).shape
    (1, 8, 8, 256)
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        """Create the convolutions."""
        inside = max(1, self.filters // 4)
        sizes = {
            "first": (inside, 1),
            "second": (inside, 3),
            "third": (self.filters, 1),
            "shortcut": (self.filters, 1),
        }
        self.parts = [
            _Convolution(filters, kernel, 1, dtype=self.dtype_policy, name=name)
            for name, (filters, kernel) in sizes.items()
        ]
        first, second, third, shortcut = self.parts
        within = (*input_shape[:-1], inside)
        for part, shape in ((first, input_shape), (second, within), (third, within),
                            (shortcut, input_shape)):  # fmt: skip
            part.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the maps."""
        first, second, third, shortcut = self.parts
        x = ops.relu(first(inputs, training=training))
        x = ops.relu(second(x, training=training))
        x = third(x, training=training) + shortcut(inputs, training=training)
        return ops.relu(x)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape with other channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="stfn_keras")
class AddDifference(Lift):
    """`x + gamma d`, with d enlarged to the size of x and one gamma per channel.

    TDN has `x / 2 + d / 2`. Here gamma is learned and starts at 0 (C), so that a
    trained tower computes at first what it did; the first step of training moves gamma
    alone. A pixel of d is repeated (T), from the upper left on, and cut at the end (C).

    Input shape:
        Two tensors `(batch, height, width, channels)`: x, and d, which may be smaller.

    Output shape:
        That of x.

    Example:
    >>> maps = keras.ops.ones((1, 7, 7, 64))
    >>> AddDifference()([maps, keras.ops.ones((1, 4, 4, 64))]).shape
    (1, 7, 7, 64)
    """

    def build(self, input_shape: Any) -> None:
        """Create gamma."""
        self.scale = LayerScale(0.0, dtype=self.dtype_policy, name="scale")
        self.scale.build(input_shape[0])

    def call(self, inputs: Any) -> Any:
        """Return the sum."""
        x, difference = inputs
        for axis in (1, 2):
            times = -(-x.shape[axis] // difference.shape[axis])
            difference = ops.repeat(difference, times, axis=axis)
        difference = difference[:, : x.shape[1], : x.shape[2]]
        return x + self.scale(difference)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the shape of x."""
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable(package="stfn_keras")
class _Convolution(keras.layers.Layer):
    """A convolution and its batch normalisation, of momentum 0.9 (C)."""

    def __init__(self, filters: int, kernel: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.convolution = keras.layers.Conv2D(
            filters, kernel, stride, padding="same", use_bias=False,
            kernel_initializer="he_normal", dtype=dtype, name="conv",
        )  # fmt: skip
        self.normalization = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="bn"
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.convolution.build(input_shape)
        shape = self.convolution.compute_output_shape(input_shape)
        self.normalization.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the normalised maps."""
        return self.normalization(self.convolution(inputs), training=training)


def with_short_term_difference(
    tower: keras.Model, mode: str, stage2: str
) -> keras.Model:
    """Copy a tower with the module for differences of a segment's frames.

    Their differences pass the `DifferenceStem` and are added behind the tower's first
    pooling, where it has one as a ResNet has (T); then they pass the `DifferenceUnit`
    and are added at the end of its second stage (T).

    All other layers keep their names and weights, and the copy computes at first what
    the tower does of the middle frame. Each segment is read by itself.

    Args:
        tower: From `build_tower`, of two frames or more.
        mode: Of its `Preprocess`.
        stage2: The layer whose output is its last map of stride 4.

    Returns:
        The tower with layers `difference_...`.
    """
    with keras.name_scope(tower.name):
        (given,) = tower.inputs
        pixels = keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)
        x = Preprocess(mode, "difference", name="difference_preprocess")(pixels)
        names = [layer.name for layer in tower.layers]
        pool = tower.get_layer(FIRST_POOL).output if FIRST_POOL in names else None
        filters = FILTERS if pool is None else pool.shape[-1]
        stem = DifferenceStem(filters, name="difference_stem")(x)
        ends = {FIRST_POOL: stem} if pool is not None else {}
        unit = DifferenceUnit(
            tower.get_layer(stage2).output.shape[-1], name="difference_unit"
        )
        ends[stage2] = unit(stem)
        after = {
            name: _Adding(AddDifference(name=f"difference_add_{index}"), maps)
            for index, (name, maps) in enumerate(ends.items(), 1)
        }
    return insert(tower, {"preprocess": MiddleFrame(name="middle")}, after, pixels)


class _Adding:
    """A layer's second input, fixed."""

    def __init__(self, layer: AddDifference, difference: keras.KerasTensor) -> None:
        self.layer, self.difference = layer, difference

    def __call__(self, maps: Any) -> Any:
        return self.layer([maps, self.difference])
