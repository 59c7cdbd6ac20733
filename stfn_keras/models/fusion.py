"""Fuse the dynamics of appearance and motion: the spatio-temporal fusion block."""

from typing import Any

import keras

from stfn_keras.config import DIRECTIONS, FUSIONS, RESIDUALS, TEMPORALS
from stfn_keras.models.res_inception import TemporalResInception
from stfn_keras.models.temporal_mlp import TemporalMLP

MERGES = {
    "average": keras.layers.Average,
    "maximum": keras.layers.Maximum,
    "multiply": keras.layers.Multiply,
}
MODULES: dict[str, Any] = {"res_inception": TemporalResInception, "mlp": TemporalMLP}


@keras.saving.register_keras_serializable(package="stfn_keras")
class SpatioTemporalFusion(keras.layers.Layer):
    """One block: fuse the two streams, then a res-inception for each of them.

    With `f = fuse(s, m)`, the block gives `s' = ResInc_s(f)` and
    `m' = ResInc_m(f)` (bi-directional), or `m' = ResInc_m(m)` (uni-directional:
    motion feeds appearance). The weights of the two are separate. Both
    directions and the three operations are the poster's (P), the wiring is our
    choice (C), the uni-directional one as in ST-ResNet.

    Note that with `bi` and `residual="fused"` both outputs are functions of the
    one tensor f.

    Args:
        direction: `bi` (P: best) or `uni`.
        fusion: `average` (P: best), `maximum` or `multiply`, element by element.
        residual: What the shortcuts carry (C): `fused` is f itself, `own` is the
            stream's own input, so that fusion enters the branches only.
        width: Channels of each branch of the res-inceptions; 0 is a quarter.
        temporal: `res_inception` (P), or `mlp`, as many weights without time (C).
        zero_init: Start both as the identity of their shortcuts (C).

    Input shape:
        A list of two tensors `(batch, time, channels)`: appearance and motion.

    Output shape:
        A list of two tensors `(batch, time, channels)`: appearance and motion.

    Example:
    >>> rgb = flow = keras.random.uniform((2, 7, 64))
    >>> [x.shape for x in SpatioTemporalFusion()([rgb, flow])]
    [(2, 7, 64), (2, 7, 64)]
    """

    def __init__(
        self,
        direction: str = "bi",
        fusion: str = "average",
        residual: str = "fused",
        width: int = 0,
        temporal: str = "res_inception",
        zero_init: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, choices in (
            ("direction", direction, DIRECTIONS),
            ("fusion", fusion, FUSIONS),
            ("residual", residual, RESIDUALS),
            ("temporal", temporal, TEMPORALS),
        ):
            if value not in choices:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(choices)}. Received: {value!r}"
                )
        self.direction = direction
        self.fusion = fusion
        self.residual = residual
        self.width = width
        self.temporal = temporal
        self.zero_init = zero_init

    def build(self, input_shape: Any) -> None:
        """Create the fusion and both res-inceptions."""
        rgb, flow = (tuple(shape) for shape in input_shape)
        if rgb[-1] != flow[-1]:
            raise ValueError(
                "Both streams must have as many channels to be fused. "
                f"Received: {rgb} and {flow}"
            )
        dtype = self.dtype_policy
        self.merge = MERGES[self.fusion](dtype=dtype, name="merge")
        module, options = MODULES[self.temporal], (self.width, self.zero_init)
        self.rgb = module(*options, dtype=dtype, name="rgb")
        self.flow = module(*options, dtype=dtype, name="flow")
        self.merge.build([rgb, flow])
        self.rgb.build(rgb)
        self.flow.build(flow)

    def call(self, inputs: Any, training: bool | None = None) -> list:
        """Return the streams' next dynamics, appearance first."""
        rgb, flow = inputs
        fused = self.merge([rgb, flow])  # (batch, time, channels)
        rgb_inputs = flow_inputs = fused
        if self.residual == "own":
            rgb_inputs, flow_inputs = [fused, rgb], [fused, flow]
        if self.direction == "uni":
            flow_inputs = flow
        return [
            self.rgb(rgb_inputs, training=training),
            self.flow(flow_inputs, training=training),
        ]

    def compute_output_shape(self, input_shape: Any) -> list:
        """Give the inputs' shapes: neither time nor channels change."""
        return [tuple(shape) for shape in input_shape]

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "direction": self.direction,
            "fusion": self.fusion,
            "residual": self.residual,
            "width": self.width,
            "temporal": self.temporal,
            "zero_init": self.zero_init,
        }
