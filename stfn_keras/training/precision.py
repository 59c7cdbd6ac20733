"""What a network computes in: float32, or half of it where a machine is fast at that.

with precision_scope("bfloat16"):
    network = models.build(config, classes)
optimizer = loss_scaled(make_optimizer(stage, steps), "bfloat16")

Weights, statistics, pooled features, classifiers and scores stay float32 in every
precision, so that weights move between precisions as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf
from absl import logging

from stfn_keras.config.training import PRECISIONS
from stfn_keras.errors import UserError

POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@contextmanager
def precision_scope(precision: str) -> Iterator[None]:
    """Networks built within compute in this precision.

    Warns of float16 where there is no accelerator: most processors have no arithmetic
    for it (training steps took 4 to 13 times as long as in float32).

    Args:
        precision: `float32`, `bfloat16` or `float16`.

    Raises:
        UserError: There is no such precision.
    """
    if precision not in POLICIES:
        raise UserError(
            f"--precision must be one of {', '.join(PRECISIONS)}. Received: {precision}"
        )
    if precision == "float16" and not _has_accelerator():
        logging.log_first_n(
            logging.WARNING,
            "--precision=float16 was 4 to 13 times slower than float32 on CPUs, and no "
            "accelerator was found; use bfloat16 or float32",
            1,
        )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def loss_scaled(optimizer: keras.Optimizer, precision: str) -> keras.Optimizer:
    """Let an optimiser that is not built yet scale losses, if a precision needs it.

    float16 has no numbers below 6e-8, where many gradients are. The loss is multiplied
    by a factor, which the gradients are divided by before anything else is done with
    them: clipping, decay and averages see the true ones. A step whose gradients are not
    finite is left out (weights, averages and the count of steps stay) and halves the
    factor; 2,000 finite ones double it. bfloat16 has float32's range and needs none.

    Args:
        optimizer: From `make_optimizer`.
        precision: `float32`, `bfloat16` or `float16`.

    Returns:
        The optimiser itself, or one around it, whose `scale_loss` the step calls.
    """
    if precision != "float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _has_accelerator() -> bool:
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    return any(d.device_type != "CPU" for d in tf.config.list_physical_devices())
