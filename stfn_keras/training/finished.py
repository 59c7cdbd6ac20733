"""A finished run's network file: its digest, and those of the weights inside.

network_digest(Run.open(folder))    # of checkpoints/model.keras
weights_digest(Run.open(folder))    # of its weights: an archive of the run has the same
canonical_digest(Run.open(folder))  # of their values: any run with the same has it
"""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256
from stfn_keras.training.run import Run

WEIGHTS = "model.weights.h5"  # where Keras keeps them inside a `.keras` file


def network_digest(run: Run) -> str:
    """The SHA-256 that a run's network file had when it was written.

    Raises:
        UserError: The run is not finished.
    """
    state = run.checkpoints / "model.json"
    if not state.exists():
        raise UserError(
            f"the run {run.folder} has no finished network: run its train.py command "
            "again to continue it"
        )
    return str(read_json(state, "the state of a network").get("sha256"))


@contextlib.contextmanager
def open_weights(network_file: Path) -> Iterator[IO[bytes]]:
    """Give the HDF5 stream inside a `.keras` file.

    Raises:
        UserError: The file holds none.
    """
    try:
        with zipfile.ZipFile(network_file) as file, file.open(WEIGHTS) as stream:
            yield stream
    except (FileNotFoundError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"expected a .keras file with weights: {network_file} ({error})"
        ) from error


def weights_digest(run: Run) -> str:
    """The SHA-256 of the weights inside a finished run's network file.

    Raises:
        UserError: The run is not finished.
    """
    network_digest(run)
    with open_weights(run.network_file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def canonical_digest(run: Run) -> str:
    """One SHA-256 of the values of a finished run's weights.

    It covers every array's path inside the file, type, shape and little-endian values,
    in the order of the paths: not the file's layout, so it compares runs of different
    versions of the libraries.

    Raises:
        UserError: The run is not finished, or its network file is damaged.
    """
    expected = network_digest(run)
    if not run.network_file.is_file() or sha256(run.network_file) != expected:
        raise UserError(
            f"{run.network_file} is missing or damaged: run the run's train.py command "
            "again to write it anew"
        )
    with open_weights(run.network_file) as stream, h5py.File(stream, "r") as file:
        arrays: dict[str, np.ndarray] = {}

        def note(path: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[path] = item[()]

        file.visititems(note)
    digest = hashlib.sha256()
    for path in sorted(arrays):
        array = np.asarray(arrays[path])
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{path} {little.dtype.str} {array.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()
