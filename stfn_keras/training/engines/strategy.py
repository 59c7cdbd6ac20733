"""TensorFlow's devices as the settings ask for them: one, several, or other machines'.

strategy = open_strategy(MachineConfig(strategy="mirrored", cpu_devices=2))

To be called before TensorFlow has computed anything: only then can the CPU be divided,
the order of operations be fixed, and other workers be met.
"""

from functools import cache

import tensorflow as tf

from stfn_keras.config import MachineConfig
from stfn_keras.errors import UserError
from stfn_keras.training.engines.determinism import make_deterministic
from stfn_keras.training.engines.workers import meet_workers


def open_strategy(machine: MachineConfig) -> tf.distribute.Strategy:
    """The strategy that the settings ask for.

    Raises:
        UserError: TensorFlow has no such strategy, or runs already with other settings.
    """
    if machine.strategy == "data_parallel":
        raise UserError(
            "--strategy=data_parallel needs KERAS_BACKEND=jax. Received: tensorflow, "
            "which has mirrored for several devices of one machine"
        )
    if machine.deterministic:
        make_deterministic()
    _divide_cpu(machine.cpu_devices)
    if machine.strategy == "multi_worker":
        return meet_workers()
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if machine.strategy == "one_device" or len(devices) == 1:
        return tf.distribute.get_strategy()
    return _mirrored(tuple(device.name for device in devices))


@cache  # two strategies would give their collective operations the same numbers
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(devices)


def _divide_cpu(devices: int) -> None:
    if devices == 1:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    known = tf.config.get_logical_device_configuration(cpu)
    if known is not None and len(known) == devices:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * devices
        )
    except RuntimeError as error:
        raise UserError(
            f"--cpu_devices={devices} must be set before TensorFlow computes anything; "
            "it runs already with other devices: start a new process"
        ) from error
