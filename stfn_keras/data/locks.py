"""What keeps processes apart that share a cache's folder.

with making(root), locked(root / LOCK):
    ...
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stfn_keras.errors import UserError

LOCK = ".lock"  # of a whole cache, for moments: never while the network is waited for


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file exclusively; the system drops it with its process."""
    import fcntl  # not on Windows, where local data are read without it

    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


@contextlib.contextmanager
def making(folder: Path) -> Iterator[None]:
    """Make the folder, and turn what the disk refuses into one line.

    Raises:
        UserError: The folder cannot be made, or not be written within the `with`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"--data_cache must be a folder to write to. Received: {folder}: "
            f"{error.strerror or error}"
        ) from error
