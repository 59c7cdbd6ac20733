"""What the chosen backend lacks on this machine, said in a line.

    missing = missing_backend("jax")     # "" where it is installed
    print(prepare_card("tensorflow"))    # "" where there is no card, or it is used

TensorFlow's own notices of CUDA libraries that it does not find are held back
(`stfn_keras.quiet`), so that a card left idle would go unnoticed.
"""

import importlib.util
import os
from pathlib import Path

EXTRAS = {"tensorflow": "gpu", "jax": "jax-gpu"}
JAX_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def missing_backend(backend: str) -> str:
    """What to do if the package of a Keras backend is not installed; else empty."""
    if backend not in EXTRAS or importlib.util.find_spec(backend):
        return ""
    return (
        f"expected {backend} to be installed, which KERAS_BACKEND={backend} asks for. "
        "Received: no such package: pip install '.[jax]', on NVIDIA cards '.[jax-gpu]' "
        "(docs/install.md), or unset KERAS_BACKEND"
    )


def has_card(devices: Path = Path("/dev")) -> bool:
    """Whether this process may see an NVIDIA card (Linux)."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return any(devices.glob("nvidia[0-9]*"))


def prepare_card(backend: str) -> str:
    """Leave the card to the backend that computes; to be called once Keras is there.

    Under JAX the input is TensorFlow's, which would otherwise take most of the card's
    memory for itself.

    Returns:
        What to do if the machine has a card and the backend cannot use it; else empty.
    """
    if not has_card():
        return ""
    if backend == "jax":
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
        used = any(importlib.util.find_spec(name) for name in JAX_PLUGINS)
    elif backend == "tensorflow":
        import tensorflow as tf

        used = bool(tf.config.list_physical_devices("GPU"))
    else:
        return ""
    if used:
        return ""
    return (
        f"note: this machine has an NVIDIA card that {backend} cannot use: "
        f"pip install '.[{EXTRAS[backend]}]' (docs/install.md), or set "
        "CUDA_VISIBLE_DEVICES=-1 to leave it alone"
    )
