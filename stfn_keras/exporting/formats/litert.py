"""LiteRT from an exported SavedModel: float32, float16, dynamic range and int8.

    convert(version, Path("model.tflite"), "float16")

The file has one signature, `serving_default`, takes a batch of any size and holds
built-in operators alone: no Flex, which needs TensorFlow's kernels on the device.

- `float32`: as trained.
- `float16`: half the size; computed in float32 where the device has nothing better.
- `dynamic`: weights in int8, activations made int8 as they come.
- `int8`: all between the uint8 pixels and the logits is int8, by ranges measured on
  real snippets. `logits` and `scores` come out as float32, and softmax is computed so:
  in int8 its steps are 1/256, above most scores where there are hundreds of classes.
"""

import itertools
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.quiet import held_stderr

KINDS = ("float32", "float16", "dynamic", "int8")
# Of the converter's text: `TF Select ops: Erfc, ...`, `Custom ops: ...`.
_REFUSED = re.compile(r"(?:TF Select|Custom) ops: (.+)")


def convert(
    folder: Path,
    path: Path,
    kind: str,
    calibration: Iterable[Mapping[str, np.ndarray]] | None = None,
) -> None:
    """Write a LiteRT file.

    Args:
        folder: Holds the SavedModel.
        path: The `.tflite` file.
        kind: One of `KINDS`.
        calibration: For `int8`: snippets of training videos, uint8 (1, T, H, W, C) by
            stream.

    Raises:
        UserError: LiteRT has no such operator, or there is nothing to calibrate on.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=["serving_default"]
    )
    builtin = tf.lite.OpsSet.TFLITE_BUILTINS
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        samples = iter(calibration or ())
        first = next(samples, None)
        if first is None:
            raise UserError(
                "int8 needs snippets of training videos to measure ranges on. Received "
                "none: give the run's data"
            )
        builtin = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        snippets = map(dict, itertools.chain([first], samples))
        converter.representative_dataset = lambda: snippets
    converter.target_spec.supported_ops = [builtin]
    try:
        # The converter's notes; all that it finds wrong is in its exception, too.
        with warnings.catch_warnings(), held_stderr(shown=False):
            # Quantisation runs TensorFlow's copy of the interpreter, which is to go.
            warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")
            content = _quantised(converter) if kind == "int8" else converter.convert()
    except Exception as error:
        refused = _REFUSED.findall(str(error))
        if not refused:
            raise
        raise UserError(
            "every operator must be built into LiteRT. Received: "
            f"{', '.join(dict.fromkeys(refused))}; choose another tower or format"
        ) from error
    path.write_bytes(content)


def _quantised(converter: tf.lite.TFLiteConverter) -> bytes:
    """Quantise all but softmax; only the debugger's interface leaves operators out."""
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=["SOFTMAX"])
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_options=options
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content
