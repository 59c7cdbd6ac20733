"""HDF5 files from elsewhere: plain arrays of numbers, or they are not opened further.

check_plain(Path("model.weights.h5"))

HDF5 can point into other files, expand a few bytes to gigabytes, and loop. Weights need
none of that, so a file that does any of it is refused before Keras reads it.
"""

from pathlib import Path

import h5py

from stfn_keras.errors import UserError

NUMBERS = "fiub"  # kinds of NumPy's types: float, integers, bool


def check_plain(path: Path) -> None:
    """Check that a file holds groups and uncompressed arrays of numbers alone.

    Raises:
        UserError: It is no HDF5 file, or holds links, virtual, external or packed
            arrays, other types, or more values than bytes.
    """
    try:
        with h5py.File(path, "r") as file:
            total = _size(file, set())
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the weights {path} cannot be read: {reason}") from error
    if total > path.stat().st_size:
        raise UserError(
            f"the weights {path} must be stored as they are. Received: {total} "
            f"bytes of arrays in a file of {path.stat().st_size}"
        )


def _size(group: h5py.Group, seen: set[int]) -> int:
    """Bytes of all arrays below a group; raises ValueError where one is not plain."""
    total = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{group.name}/{name} is a link to elsewhere")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise ValueError(f"{item.name} is there twice")
        seen.add(address)
        if isinstance(item, h5py.Group):
            total += _size(item, seen)
        elif isinstance(item, h5py.Dataset):
            total += _array_size(item)
        else:
            raise ValueError(f"{item.name} is neither a group nor an array")
    return total


def _array_size(array: h5py.Dataset) -> int:
    properties = array.id.get_create_plist()
    packed = properties.get_nfilters() > 0
    if packed or array.is_virtual or array.external or array.dtype.kind not in NUMBERS:
        raise ValueError(f"{array.name} is not a plain array of numbers")
    return int(array.nbytes)
