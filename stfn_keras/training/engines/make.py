"""The engine that Keras' backend and the machine's settings ask for.

engine = make_engine(MachineConfig(strategy="mirrored"))
"""

import keras

from stfn_keras.config import MachineConfig
from stfn_keras.errors import UserError
from stfn_keras.training.engines.engine import Engine


def make_engine(machine: MachineConfig) -> Engine:
    """The engine of Keras' backend; to be made before the backend computes anything.

    Raises:
        UserError: The backend is another one, or has no such strategy.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from stfn_keras.training.engines.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine.open(machine)
    if backend == "jax":
        from stfn_keras.training.engines.jax_engine import JaxEngine

        return JaxEngine.open(machine)
    raise UserError(
        f"expected KERAS_BACKEND=tensorflow or jax. Received: {backend}, under which "
        "the networks can be used but not trained here"
    )
