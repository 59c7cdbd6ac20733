"""What a mirror says of itself: `remote.json`, which tells it from other folders.

about = Remote.of(folder)  # None: a dataset directory with its shards
"""

from dataclasses import dataclass
from pathlib import Path

from stfn_keras import storage
from stfn_keras.errors import UserError
from stfn_keras.files import read_json

REMOTE = "remote.json"  # in a mirror, whose shards come when they are first read


@dataclass(frozen=True)
class Remote:
    """What `remote.json` says.

    Attributes:
        location: Address of the dataset.
        gigabytes: That the shards of the whole cache may take.
        direct: Whether TensorFlow reads the shards itself.
    """

    location: str
    gigabytes: float
    direct: bool

    @classmethod
    def of(cls, folder: Path) -> "Remote | None":
        """Of a mirror; None for any other dataset directory."""
        if not (folder / REMOTE).exists():
            return None
        return cls(**read_json(folder / REMOTE, "a mirror of remote data"))


def digest_direct(folder: Path, file: str, size: int, sha256: str) -> None:
    """Compare a shard behind an address, if TensorFlow reads it there itself.

    Any other mirror's shard is compared when it is fetched.

    Raises:
        UserError: It is not what the manifest says; names it.
    """
    remote = Remote.of(folder)
    if remote is None or not remote.direct:
        return
    from stfn_keras.data import direct  # TensorFlow: without it no mirror is direct

    location = storage.join(remote.location, file)
    if fault := direct.fault(location, size, sha256):
        raise UserError(f"{location}: {fault}")
