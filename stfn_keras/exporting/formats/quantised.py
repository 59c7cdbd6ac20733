"""An ONNX network in int8 as TensorRT takes it: with the scales written into the graph.

    quantise(Path("model.onnx"), Path("int8.onnx"), calibration)

ONNX Runtime measures the ranges and writes pairs of QuantizeLinear and
DequantizeLinear around convolutions and products: int8, symmetric, a scale per channel
of each weight.
"""

import itertools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from stfn_keras.errors import UserError


def quantise(
    source: Path, path: Path, calibration: Iterable[Mapping[str, np.ndarray]]
) -> None:
    """Write an ONNX file with int8 convolutions and products.

    Args:
        source: The ONNX file in float32.
        path: Of the new file.
        calibration: Snippets of training videos, uint8 (1, T, H, W, C) by stream.

    Raises:
        UserError: There is nothing to calibrate on.
    """
    from onnxruntime import quantization

    samples = iter(calibration)
    first = next(samples, None)
    if first is None:
        raise UserError("int8 needs training snippets to calibrate on. Received none")

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = itertools.chain([first], samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            found = next(self.samples, None)
            return None if found is None else dict(found)

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # its advice on preprocessing, which was done
    try:
        quantization.quantize_static(
            str(source),
            str(path),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"],
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            # TensorRT has neither zero points nor int32 biases of its caller.
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
            },
        )
    finally:
        root.setLevel(level)
