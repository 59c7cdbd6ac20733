"""The same bits in every run: what TensorFlow must be told before it computes.

make_deterministic()
"""

import tensorflow as tf

from stfn_keras.errors import UserError


def make_deterministic() -> None:
    """Let TensorFlow compute the same bits in every run on this machine, on CPU.

    Deterministic kernels alone are not enough for two towers: which operations run
    first differs between threads, so there is one thread between operations.

    Raises:
        UserError: TensorFlow has computed already, with other threads.
    """
    tf.config.experimental.enable_op_determinism()
    if tf.config.threading.get_inter_op_parallelism_threads() == 1:
        return
    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise UserError(
            "--deterministic must be set before TensorFlow computes anything in this "
            "process: start train.py with it, or in a program ask for it first"
        ) from error
