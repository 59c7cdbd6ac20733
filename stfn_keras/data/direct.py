"""Remote shards that TensorFlow reads itself, by tensorflow-io's file systems.

    if reads("s3://bucket/ucf101"): ...

tensorflow-io 0.37 is built for TensorFlow 2.16 and 2.17. Beside a newer one its import
succeeds and its file systems are missing, so the registered schemes are what counts.
"""

import functools
import hashlib
import importlib.util
import os
import warnings
from pathlib import Path

import tensorflow as tf

from stfn_keras.errors import UserError

# What its S3 client is told by, where that is not set: what others are told by.
_ENVIRONMENT = {
    "S3_ENDPOINT": "AWS_ENDPOINT_URL",  # with the scheme
    "AWS_REGION": "AWS_DEFAULT_REGION",
}
_BLOCK = 1 << 24  # bytes digested at a time


def reads(location: str) -> bool:
    """Whether TensorFlow reads such an address itself."""
    return location.partition("://")[0] in _schemes()


@functools.cache
def _schemes() -> frozenset[str]:
    if importlib.util.find_spec("tensorflow_io") is None:
        return frozenset()
    for name, other in _ENVIRONMENT.items():
        if other in os.environ:
            os.environ.setdefault(name, os.environ[other])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a library that does not load
        try:
            import tensorflow_io  # noqa: F401
        except (ImportError, NotImplementedError):
            return frozenset()
    return frozenset(tf.io.gfile.get_registered_schemes())


def get(location: str, local: Path) -> None:
    """Copy a file to a local path; as `stfn_keras.storage.get`."""
    try:
        tf.io.gfile.copy(location, str(local), overwrite=True)
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(location) from error
    except tf.errors.OpError as error:
        raise UserError(
            f"{location} cannot be read: {' '.join(error.message.split())}; check the "
            "credentials, and S3_ENDPOINT (with http://) if the store is not Amazon's"
        ) from error


def sizes(location: str) -> dict[str, int]:
    """Nothing: a request for each shard would take minutes."""
    return {}


def fault(location: str, size: int, sha256: str = "") -> str | None:
    """Say what is wrong with a shard behind an address; None if nothing is seen.

    Args:
        location: Its address.
        size: The bytes that it should have.
        sha256: The digest that it should have, in hex; none: it is not read.
    """
    try:
        found = tf.io.gfile.stat(location).length
        if found != size:
            return f"expected {size} bytes. Received: {found}; upload it again"
        if sha256 and _digest(location) != sha256:
            return "its bytes are not those that were written; upload it again"
    except tf.errors.OpError as error:
        return f"cannot be read: {' '.join(error.message.split())}; upload it again"
    return None


def _digest(location: str) -> str:
    state = hashlib.sha256()
    with tf.io.gfile.GFile(location, "rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
