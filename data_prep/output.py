"""The dataset directory while it is made: begun, locked, finished, added to.

    with locked(out):
        state = open_output(out, settings)
        ...
        finish(out, manifest, index, ledger)

A folder is continued only by the settings it was begun with. All of it works in a
local folder and behind an address; only a local one is locked.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data_prep.jobs.job import PARTIAL, WORK
from stfn_keras import storage
from stfn_keras.data.index import INDEX, Indexed, write_index
from stfn_keras.data.ledger import LEDGER, Rejected, write_ledger
from stfn_keras.data.manifest import MANIFEST, Manifest
from stfn_keras.errors import UserError
from stfn_keras.files import write_text

SETTINGS = "settings.json"
ADDITION = "addition.json"
LABELS = "labels.txt"
_LOCK = "lock"


@contextlib.contextmanager
def locked(out: str) -> Iterator[None]:
    """Keep a second run out of the folder; the lock ends with the process.

    Raises:
        UserError: Another run works in it.
    """
    if storage.is_remote(out):
        yield
        return
    read_settings(out)  # nothing is written into a folder that is not ours
    begun = Path(out, WORK)
    begun.mkdir(parents=True, exist_ok=True)
    lock = FileLock(begun / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"--out must be free. Another run is at work in {out}: wait for it, or "
            "stop it"
        ) from None
    try:
        for left in begun.glob(f"*{PARTIAL}"):  # by a run that was killed
            left.unlink()
        yield
    finally:
        lock.release()


def open_output(out: str, settings: dict[str, Any]) -> bool:
    """Begin the dataset, or recognise it as one to continue.

    Returns:
        Whether the dataset is finished already.

    Raises:
        UserError: The folder is not ours, or holds a dataset with other settings.
    """
    begun = read_settings(out)
    if begun is None:
        storage.write_text(_work(out, SETTINGS), _text(settings))
        return False
    check_settings(begun, settings)
    return is_finished(out)


def is_finished(out: str) -> bool:
    """Whether the dataset has its manifest, which is written last."""
    return storage.size(storage.join(out, MANIFEST)) is not None


def read_settings(out: str) -> dict[str, Any] | None:
    """The settings that a dataset was begun with; None in an empty or no folder.

    Raises:
        UserError: The folder is not ours.
    """
    if not storage.is_remote(out):
        _check_place(Path(out))
    # A run stopped before its settings were whole leaves an empty .work only.
    foreign = [name for name in storage.names(out) if name != WORK]
    try:
        return json.loads(storage.read_text(_work(out, SETTINGS)))
    except FileNotFoundError:
        if foreign:
            raise UserError(
                f"--out must be a new folder or a dataset begun here. Received: {out}, "
                "which holds other files; choose another"
            ) from None
        return None
    except ValueError as error:
        raise UserError(f"{_work(out, SETTINGS)} is damaged: {error}") from error


def check_settings(
    begun: dict[str, Any], settings: dict[str, Any], but: Collection[str] = ()
) -> None:
    """Raise UserError at the first setting that is not as it was.

    Args:
        begun: As the dataset was begun.
        settings: As they are now.
        but: Settings that may differ.
    """
    for key in settings:
        if key not in ("sides", *but) and begun.get(key) != settings[key]:
            hint = "choose another folder or the settings of before, or delete this one"
            if key == "name":
                hint = f"a folder that was renamed needs --name={begun.get(key)}"
            if key == "inputs":
                hint += "; --add brings new videos into a finished dataset"
            raise UserError(
                f"--out holds a dataset with other settings: {key} was "
                f"{begun.get(key)} and is {settings[key]} now; {hint}"
            )


def check_unfinished(unfinished: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise UserError where an unfinished addition was another than this."""
    for key in settings:
        if (
            key not in ("sides", "additions")
            and unfinished["settings"].get(key) != settings[key]
        ):
            raise UserError(
                f"an addition of {len(unfinished['videos'])} videos was begun and not "
                f"finished, and its {key} was {unfinished['settings'].get(key)}, now "
                f"{settings[key]}: repeat its command to finish it, or delete "
                f"{WORK}/{ADDITION} and its -add shards to give it up"
            )


def read_addition(out: str) -> dict[str, Any] | None:
    """What an unfinished addition recorded; None if there is none."""
    try:
        return json.loads(storage.read_text(_work(out, ADDITION)))
    except FileNotFoundError:
        return None


def write_addition(out: str, addition: dict[str, Any]) -> None:
    """Record an addition before its first shard."""
    storage.write_text(_work(out, ADDITION), _text(addition))


def finish(
    out: str,
    manifest: Manifest,
    index: Iterable[Indexed],
    ledger: Iterable[Rejected],
    settings: dict[str, Any],
) -> None:
    """Write labels, index, ledger and, last of all, the manifest; then tidy up.

    Whoever stops it in between repeats it: entries stay until the manifest is there.
    """
    with _staging(out) as staging:
        labels = "".join(f"{label}\n" for label in manifest.labels)
        write_text(staging / LABELS, labels)
        write_index(staging, index)
        write_ledger(staging, ledger)
        manifest.save(staging)
        for file in (LABELS, INDEX, LEDGER, MANIFEST):
            storage.put(staging / file, storage.join(out, file))
    storage.write_text(_work(out, SETTINGS), _text(settings))
    tidy(out)


def tidy(out: str) -> None:
    """Leave only the settings, by which a later run knows the dataset."""
    for file in storage.names(storage.join(out, WORK)):
        if file in (SETTINGS, _LOCK):
            continue
        if Path(_work(out, file)).is_dir():
            shutil.rmtree(_work(out, file))
        else:
            storage.delete(_work(out, file))


def tidy_finished(out: str) -> None:
    """Tidy up after a run that was stopped between its manifest and the tidying."""
    if read_addition(out) is None:
        tidy(out)


@contextlib.contextmanager
def read_back(out: str) -> Iterator[Path]:
    """A local folder that holds the dataset's tables, wherever the dataset is."""
    if not storage.is_remote(out):
        yield Path(out)
        return
    with tempfile.TemporaryDirectory() as name:
        for file in (LABELS, INDEX, LEDGER, MANIFEST):
            text = storage.read_text(storage.join(out, file))
            write_text(Path(name, file), text)
        yield Path(name)


def write_ledger_alone(out: str, ledger: Iterable[Rejected]) -> None:
    """Write the ledger of a dataset that has nothing else."""
    with _staging(out) as staging:
        write_ledger(staging, ledger)
        storage.put(staging / LEDGER, storage.join(out, LEDGER))


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {out}")


@contextlib.contextmanager
def _staging(out: str) -> Iterator[Path]:
    """A folder on the disk where its files will stay, so that they can be renamed."""
    if storage.is_remote(out):
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    staging = Path(out, WORK, "finish")
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed here
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _work(out: str, name: str) -> str:
    return storage.join(out, f"{WORK}/{name}")


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
