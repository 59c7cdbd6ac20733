"""From stored pixels to what a tower was trained on, inside the model."""

from typing import Any

import keras
import numpy as np
from keras import ops

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


@keras.saving.register_keras_serializable(package="stfn_keras")
class Preprocess(keras.layers.Layer):
    """Scale uint8 pixels for a tower, as its first layer.

    So no caller can normalise differently. RGB follows the mode; flow is
    `(code - 128) / divisor` with the divisor of the same mode (the mean of the
    channels' where they differ), so that no motion is exactly 0, opposite motions
    are exact opposites, and kernels that come from RGB see inputs of the range
    they know.

    Args:
        mode: `caffe` (BGR minus ImageNet's mean; ResNet), `tf` (-1 to 1;
            Inception-v3, MobileNetV2), `lite` ((x - 127) / 128;
            EfficientNet-Lite), `signed` ((x - 128) / 128; EfficientNetV2-S) or
            `torch` (ImageNet's mean and deviation; ConvNeXt, EfficientNetV2-B0).
        stream: `rgb` or `flow`.

    Input shape:
        `(..., channels)`, 0 to 255, uint8 (or float of that range).

    Output shape:
        The same, in the layer's compute type.

    Example:
    >>> Preprocess("tf")(np.uint8([[0, 127, 255]])).numpy().round(2)
    array([[-1., -0., 1.]], dtype=float32)
    """

    def __init__(self, mode: str, stream: str = "rgb", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in RGB_MODES:
            raise ValueError(
                f"`mode` must be one of {', '.join(RGB_MODES)}. Received: {mode!r}"
            )
        if stream not in ("rgb", "flow"):
            raise ValueError(f"`stream` must be rgb or flow. Received: {stream!r}")
        self.mode = mode
        self.stream = stream

    def call(self, inputs: Any) -> Any:
        """Return the scaled pixels."""
        mean, divisor = RGB_MODES[self.mode]
        # In float32 also under mixed precision: half types would round the mean.
        x = ops.cast(inputs, "float32")
        if self.stream == "flow":
            x = (x - FLOW_ZERO) / float(np.mean(divisor))
        else:
            if self.mode == "caffe":
                x = ops.flip(x, axis=-1)
            mean = ops.convert_to_tensor(mean, "float32")
            x = (x - mean) / ops.convert_to_tensor(divisor, "float32")
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Give the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """Return what the layer is rebuilt from."""
        return {**super().get_config(), "mode": self.mode, "stream": self.stream}
