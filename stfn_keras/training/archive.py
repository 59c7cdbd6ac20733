"""One file that holds a trained network: read back only after it was checked.

    write(Path("stfn.zip"), members)          # whole or not at all
    with opened(Path("stfn.zip")) as run:     # a Run; a run directory does as well
        network = trained_network(run)

A stored (uncompressed) zip of fixed members, times and order, so the same members give
the same bytes. Its comment is the SHA-256 of everything before it: a changed byte or a
missing end is noticed before anything is read. Members have digests of their own.
"""

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from stfn_keras.errors import UserError
from stfn_keras.files import sha256, write_json, written_aside
from stfn_keras.training.finished import WEIGHTS, open_weights
from stfn_keras.training.hdf5 import check_plain
from stfn_keras.training.run import Run

KIND, FORMAT = "stfn_keras published run", 1
CARD, CONFIG, METRICS = "MODEL_CARD.md", "config.json", "metrics.json"
DIGESTS = "digests.json"
REQUIRED = (CARD, CONFIG, WEIGHTS, DIGESTS)
MAX_TEXT = 16_000_000  # bytes of any member but the weights

_SEAL, _HEX, _BLOCK = b"sha256 ", 64, 1 << 20
_SINCE = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state
MADE_BY = "an archive made by `python -m stfn_keras.training.publish`"

Opener = Callable[[], AbstractContextManager[IO[bytes]]]


def text_member(text: str) -> Opener:
    """A member of `write` from a text."""
    return lambda: io.BytesIO(text.encode())


def weights_member(network_file: Path) -> Opener:
    """A member of `write` from the weights inside a `.keras` file."""
    return lambda: open_weights(network_file)


def digest_of(opener: Opener) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a member."""
    digest, size = hashlib.sha256(), 0
    with opener() as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def write(path: Path, members: dict[str, Opener]) -> str:
    """Write an archive and read it back, then publish it; a file there stays as it is.

    Args:
        path: Of the archive.
        members: Their content by name, without the digests, which are added.

    Returns:
        The archive's SHA-256.

    Raises:
        UserError: There is another file of that name, the disk is full, or what was
            written cannot be read back.
    """
    sizes = {name: digest_of(opener) for name, opener in members.items()}
    files = {n: {"bytes": size, "sha256": d} for n, (size, d) in sizes.items()}
    digests = {"kind": KIND, "format": FORMAT, "files": files}
    text = json.dumps(digests, indent=2) + "\n"
    with written_aside(path) as aside:
        with zipfile.ZipFile(aside, "w") as archive:
            # One byte after the other, so that the digest can follow them.
            archive.comment = _SEAL + b"0" * _HEX
            for name, opener in {**members, DIGESTS: text_member(text)}.items():
                _add(archive, name, opener, sizes.get(name, (len(text), ""))[0])
        seal = _sealed_digest(aside)
        with aside.open("rb+") as stream:
            stream.seek(-_HEX, io.SEEK_END)
            stream.write(seal.encode())
        with opened(aside):
            pass
        digest = sha256(aside)
        if path.exists() and (not path.is_file() or sha256(path) != digest):
            raise UserError(
                f"{path} exists and is something else: choose another --out, or move "
                "it away; nothing was changed"
            )
    return digest


def _add(archive: zipfile.ZipFile, name: str, opener: Opener, size: int) -> None:
    info = zipfile.ZipInfo(name, _SINCE)
    info.compress_type, info.create_system = zipfile.ZIP_STORED, 3
    info.external_attr, info.file_size = 0o644 << 16, size
    with archive.open(info, "w") as target, opener() as source:
        shutil.copyfileobj(source, target, _BLOCK)


def _sealed_digest(path: Path) -> str:
    """SHA-256 of all bytes but the digest at the end."""
    digest, left = hashlib.sha256(), path.stat().st_size - _HEX
    with path.open("rb") as stream:
        while left > 0:
            block = stream.read(min(left, _BLOCK))
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Run]:
    """Give the run of a run directory, or that of an archive while the `with` lasts.

    An archive is unpacked to a temporary folder, which is removed at the end. Its run
    does not know where its data lie: `Run.data` is empty.

    Raises:
        UserError: There is no finished run, or the archive is damaged, cut off, none of
            ours, or holds anything that ours do not.
    """
    if path.is_dir() or not path.exists():
        yield Run.open(path)
        return
    _check_seal(path)
    with tempfile.TemporaryDirectory(prefix="stfn-") as temporary:
        folder = Path(temporary) / path.name
        try:
            _unpack(path, folder)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{path} is not {MADE_BY}: {error}") from error
        except OSError as error:
            raise UserError(
                f"{path} cannot be unpacked to {temporary}: {error.strerror or error}"
            ) from error
        yield _run(path, folder)


def _check_seal(path: Path) -> None:
    """Compare the file with the digest at its end, before anything else is read."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise UserError(f"expected a run directory or {MADE_BY}. Received: {path}")
        stream.seek(-min(path.stat().st_size, len(_SEAL) + _HEX), io.SEEK_END)
        end = stream.read()
    if end[: len(_SEAL)] != _SEAL:
        raise UserError(
            f"{path} is cut off, or not {MADE_BY}: it does not end with its digest; "
            "fetch it again"
        )
    if end[len(_SEAL) :] != _sealed_digest(path).encode():
        raise UserError(
            f"{path} is damaged: its bytes are not those that were published; fetch "
            "it again"
        )


def _unpack(path: Path, folder: Path) -> None:
    """Write the members where a run directory has them, each after its checks."""
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive.infolist())
        places = {name: folder / name for name in (CARD, CONFIG, WEIGHTS)}
        if METRICS in archive.namelist():
            places[METRICS] = folder / "report" / METRICS
        stated = _stated(path, archive.read(DIGESTS), set(places))
        for name, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, place.open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
            if sha256(place) != stated[name]:
                raise UserError(f"{path} is damaged: the digest of {name} differs")
    check_plain(folder / WEIGHTS)
    network = folder / "checkpoints" / "model.keras"
    network.parent.mkdir()
    # As much of Keras' format as its reader of weights looks at.
    with zipfile.ZipFile(network, "w") as keras_file:
        keras_file.write(folder / WEIGHTS, WEIGHTS)
    (folder / WEIGHTS).unlink()
    write_json(network.with_name("model.json"), {"sha256": sha256(network)})


def _check_members(path: Path, found: list[zipfile.ZipInfo]) -> None:
    """Refuse all but our own members, stored as they are."""
    names = [info.filename for info in found]
    if odd := sorted(set(names) - {*REQUIRED, METRICS}):
        raise UserError(f"{path} is not {MADE_BY}: it holds {odd[0][:80]!r}")
    if missing := sorted(set(REQUIRED) - set(names)):
        raise UserError(f"{path} is not {MADE_BY}: it lacks {missing[0]}")
    if len(names) != len(set(names)):
        raise UserError(f"{path} is not {MADE_BY}: it holds a name twice")
    for info in found:
        packed = info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1
        if packed or info.file_size != info.compress_size:
            raise UserError(f"{path} is not {MADE_BY}: {info.filename} is compressed")
        if info.filename != WEIGHTS and info.file_size > MAX_TEXT:
            raise UserError(
                f"{path} is not {MADE_BY}: {info.filename} has {info.file_size} bytes, "
                f"more than {MAX_TEXT}"
            )
    if sum(info.file_size for info in found) > path.stat().st_size:
        raise UserError(f"{path} is not {MADE_BY}: its members overlap")


def _stated(path: Path, text: bytes, names: set[str]) -> dict[str, str]:
    """The digests that an archive states, by member."""
    try:
        block = json.loads(text)
        kind, version, files = block["kind"], block["format"], block["files"]
        digests = {str(name): str(file["sha256"]) for name, file in files.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not {MADE_BY}: {DIGESTS} is damaged") from error
    if (kind, version) != (KIND, FORMAT):
        raise UserError(
            f"{path} must be {MADE_BY}, of format {FORMAT}. Received: {kind!r}, format "
            f"{version!r}; another version of this program reads it"
        )
    if set(digests) != names:
        raise UserError(f"{path} is not {MADE_BY}: {DIGESTS} names other members")
    return digests


def _run(path: Path, folder: Path) -> Run:
    """The settings of an unpacked archive."""
    try:
        run = Run.open(folder)
    except (AttributeError, ValueError) as error:
        raise UserError(f"{path}: {CONFIG} is damaged: {error}") from error
    if run.data or run.towers_from:
        raise UserError(f"{path} is not {MADE_BY}: {CONFIG} names a folder")
    return run
