"""From a segment's stored pixels to what a tower reads, inside the model."""

from typing import Any

import keras
import numpy as np
from keras import ops

from stfn_keras.config import STREAMS
from stfn_keras.models.rank_pooling import rank_weights

# mode: (mean of each channel after any reordering, divisor of each channel)
RGB_MODES: dict[str, tuple[Any, Any]] = {
    "caffe": ((103.939, 116.779, 123.68), 1.0),  # BGR order
    "tf": (127.5, 127.5),
    "lite": (127.0, 128.0),
    "signed": (128.0, 128.0),
    "torch": (
        (0.485 * 255, 0.456 * 255, 0.406 * 255),
        (0.229 * 255, 0.224 * 255, 0.225 * 255),
    ),
}
FLOW_ZERO = 128.0  # the code of no motion
DYNAMIC_SCALE = 0.1  # of a dynamic image (T: dynamic image networks)


@keras.saving.register_keras_serializable(package="stfn_keras")
class Preprocess(keras.layers.Layer):
    """Make of a segment's uint8 pixels what a stream's tower reads, as its first layer.

    So no caller can normalise differently. The segment's frames, or flow pairs, lie one
    behind the other in the channels, and a stream takes of them

    - `rgb`: the first frame;
    - `difference`: the difference of each two frames in a row (T: TSN);
    - `dynamic_rgb`, `dynamic_flow`: their `RankPooling`, of scale 0.1 (T);
    - `flow`: all pairs.

    RGB follows the mode; flow is
    `(code - 128) / divisor` with the divisor of the same mode (the mean of the
    channels' where they differ), so that no motion is exactly 0, opposite motions
    are exact opposites, and kernels that come from RGB see inputs of the range
    they know. Differences and dynamic images are 0 where nothing moves too, and are
    divided like flow.

    Args:
        mode: `caffe` (BGR minus ImageNet's mean; ResNet), `tf` (-1 to 1;
            Inception-v3, MobileNetV2), `lite` ((x - 127) / 128;
            EfficientNet-Lite), `signed` ((x - 128) / 128; EfficientNetV2-S) or
            `torch` (ImageNet's mean and deviation; ConvNeXt, EfficientNetV2-B0).
        stream: One of `STREAMS`.
        time: Keep all frames or pairs, one by one; of `rgb` and `flow` only.

    Input shape:
        `(..., height, width, channels)`, 0 to 255, uint8 (or float of that range).

    Output shape:
        `(..., height, width, channels)`, in the layer's compute type: 3 channels, those
        of all flow pairs, or 3 of each difference. With `time`
        `(..., steps, height, width, 3)`, of flow 2.

    Example:
    >>> Preprocess("tf")(np.uint8([[0, 127, 255]])).numpy().round(2)
    array([[-1., -0., 1.]], dtype=float32)
    """

    def __init__(
        self, mode: str, stream: str = "rgb", time: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if mode not in RGB_MODES:
            raise ValueError(
                f"`mode` must be one of {', '.join(RGB_MODES)}. Received: {mode!r}"
            )
        known = ("rgb", "flow") if time else tuple(STREAMS)
        if stream not in known:
            raise ValueError(
                f"`stream` must be one of {', '.join(known)}. Received: {stream!r}"
            )
        self.mode = mode
        self.stream = stream
        self.time = time
        self._channels = {"rgb": 3, "flow": 2}[STREAMS[stream].reads]  # of one step

    def call(self, inputs: Any) -> Any:
        """Return what the tower reads."""
        if self.stream == "rgb" and not self.time:
            x = self._scaled(inputs[..., :3])
        elif self.stream == "flow" and not self.time:
            x = self._scaled(inputs)
        else:
            shape = tuple(inputs.shape)
            steps = (-1, *shape[1:-1], shape[-1] // self._channels, self._channels)
            x = self._over_time(ops.reshape(inputs, steps))
        return ops.cast(x, self.compute_dtype)

    def _over_time(self, x: Any) -> Any:
        """Of (..., height, width, steps, channels)."""
        if self.time:
            return self._scaled(ops.moveaxis(x, -2, -4))
        x = ops.cast(x, "float32")
        if self.stream == "difference":
            x = self._divided(x[..., 1:, :] - x[..., :-1, :])
            return ops.reshape(x, (-1, *x.shape[1:-2], x.shape[-2] * x.shape[-1]))
        weights = DYNAMIC_SCALE * rank_weights(x.shape[-2])  # their sum is 0
        weights = ops.convert_to_tensor(weights[:, None], "float32")
        return self._divided(ops.sum(x * weights, axis=-2))

    def _scaled(self, x: Any) -> Any:
        # In float32 also under mixed precision: half types would round the mean.
        x = ops.cast(x, "float32")
        if self._channels == 2:
            return self._divided(x - FLOW_ZERO)
        if self.mode == "caffe":
            x = ops.flip(x, axis=-1)
        mean, divisor = RGB_MODES[self.mode]
        mean = ops.convert_to_tensor(mean, "float32")
        return (x - mean) / ops.convert_to_tensor(divisor, "float32")

    def _divided(self, x: Any) -> Any:
        if self._channels == 3 and self.mode == "caffe":
            x = ops.flip(x, axis=-1)
        return x / float(np.mean(RGB_MODES[self.mode][1]))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the shape of what the tower reads."""
        *batch, height, width, channels = input_shape
        steps = channels // self._channels
        if self.time:
            return (*batch, steps, height, width, self._channels)
        read = {"flow": channels, "difference": 3 * (steps - 1)}
        return (*batch, height, width, read.get(self.stream, self._channels))

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "stream": self.stream,
            "time": self.time,
        }
