"""Re-read a whole dataset: `python -m data_prep verify DIR...`.

    faults = verify_dataset(Path("data/clips"))  # [] if it is sound

Every byte is read and every statement that a file makes of another is compared. The
headers and ends of images are read; `--decode` decodes them too, far more slowly.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import flags as absl_flags
from tqdm import tqdm

from data_prep.checking.record_faults import Example, record_faults
from data_prep.checking.table_faults import Tables
from stfn_keras import flags
from stfn_keras.data.manifest import MANIFEST, ROLES, Manifest, Shard, shard_fault
from stfn_keras.data.records import RecordError, decode_example, read_records
from stfn_keras.data.remote import CacheConfig, mirror, present
from stfn_keras.errors import UserError
from stfn_keras.video.jpeg import Decoder

SUFFIX = ".tfrecord"

Visit = Callable[[int, Example | None, int], None]


def main(argv: Sequence[str]) -> None:
    """Print one line per fault of the folders named; exit 1 if there is any.

    Args:
        argv: The program, and dataset directories or their addresses.

    Raises:
        UserError: No folder is named, or one is no dataset.
    """
    if not argv[1:]:
        raise UserError("verify needs a dataset directory. Received: none")
    faulty = False
    for name in argv[1:]:
        folder = mirror(name, flags.read(CacheConfig))
        manifest = Manifest.load(folder)
        faults = verify_dataset(folder, absl_flags.FLAGS.decode)
        for fault in faults:
            print(fault)
        faulty = faulty or bool(faults)
        if not faults:
            size = sum(shard.bytes for shard in manifest.shards)
            print(
                f"{name}: sound: {manifest.videos} videos in "
                f"{len(manifest.shards)} shards, {size / 1e6:.1f} MB"
            )
    if faulty:
        sys.exit(1)


def run() -> None:
    """Entry of `python -m data_prep verify`."""
    absl_flags.DEFINE_bool(
        "decode", False, "decode every image too, not only its header and end"
    )
    flags.define(CacheConfig)
    flags.run(main, positional=True)


def verify_dataset(folder: Path, decode: bool = False) -> list[str]:
    """Check every shard, every record, and every table against them.

    Args:
        folder: A dataset directory.
        decode: Whether to decode every image too.

    Returns:
        One line per fault, starting with the file's name.

    Raises:
        UserError: The folder has no readable manifest.
    """
    manifest = Manifest.load(folder)
    if fault := _settings_fault(manifest):
        return [fault]
    decoder = Decoder() if decode else None
    faults = list(_manifest_faults(manifest))
    tables = Tables(folder, manifest)
    total = sum(shard.bytes for shard in manifest.shards)
    with tqdm(total=total, unit="B", unit_scale=True, desc="verify") as bar:

        def visit(number: int, example: Example | None, size: int) -> None:
            bar.update(size)
            if example is None:
                tables.skip(number)
            else:
                faults.extend(tables.add(number, example))

        done = 0
        for shard in sorted(manifest.shards, key=lambda shard: shard.file):
            tables.begin(shard.file)
            found = list(shard_faults(shard, folder, manifest, decoder, visit))
            faults += found or tables.end()
            done += shard.bytes
            bar.update(done - bar.n)
    faults += _leftovers(folder, manifest)
    faults += tables.finish()
    return faults


def shard_faults(
    shard: Shard,
    folder: Path,
    manifest: Manifest,
    decoder: Decoder | None = None,
    visit: Visit | None = None,
) -> Iterator[str]:
    """Yield what is wrong with one shard: its bytes, or else what is in them.

    Args:
        shard: Its entry in the manifest.
        folder: The dataset directory.
        manifest: Of the dataset.
        decoder: Decodes every image too if given.
        visit: Called for each record with its number, its features (None where
            there is a fault) and its size in bytes.
    """
    try:
        with present(folder, shard.file) as path:
            if fault := shard_fault(shard, folder):
                yield f"{shard.file}: {fault}{_where(path)}"
                return
            contents = content_faults(shard, folder, manifest, decoder, visit)
            yield from (f"{shard.file}: {fault}" for fault in contents)
    except UserError as error:  # of fetching it
        yield str(error)
    except OSError as error:
        yield f"{shard.file}: it cannot be read: {error.strerror or error}"


def content_faults(
    shard: Shard,
    folder: Path,
    manifest: Manifest,
    decoder: Decoder | None = None,
    visit: Visit | None = None,
) -> Iterator[str]:
    """Yield what is wrong inside a shard, whatever its digest; see `shard_faults`."""
    count = 0
    try:
        for number, record in enumerate(read_records(folder / shard.file)):
            try:
                example = decode_example(record)
                found = list(record_faults(example, shard, manifest, decoder))
            except RecordError as error:
                example, found = {}, [str(error)]
            yield from (f"record {number}: {fault}" for fault in found)
            if visit:
                visit(number, None if found else example, len(record))
            count += 1
    except RecordError as error:
        yield str(error)
    else:
        if count != shard.videos:
            yield f"expected {shard.videos} records. Received: {count}"


def _where(path: Path) -> str:
    """Where in a damaged shard the first fault shows, in brackets."""
    try:
        for _ in read_records(path):
            pass
    except RecordError as error:
        return f" ({error})"
    except FileNotFoundError:
        pass
    return ""


def _settings_fault(manifest: Manifest) -> str | None:
    """Why nothing can be compared with a manifest; None if everything can."""
    try:
        _ = manifest.preparation
        numbers = [manifest.videos, manifest.absent, manifest.inputs]
        for shard in manifest.shards:
            numbers += [shard.videos, shard.bytes]
        words = [*manifest.labels, *(shard.file for shard in manifest.shards)]
        if {type(n) for n in numbers} <= {int} and {type(w) for w in words} <= {str}:
            return None
        return f"{MANIFEST}: it is damaged: a number or a name is of another type"
    except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
        return f"{MANIFEST}: it is damaged: {error!r}"


def _manifest_faults(manifest: Manifest) -> Iterator[str]:
    total = sum(shard.videos for shard in manifest.shards)
    if total != manifest.videos:
        yield f"{MANIFEST}: expected {manifest.videos} videos. Its shards have {total}"
    names = Counter(shard.file for shard in manifest.shards)
    for name, count in names.items():
        if count > 1:
            yield f"{MANIFEST}: it names {name} {count} times"
        if "/" in name or not name.endswith(SUFFIX):
            yield f"{MANIFEST}: {name!r} is no name of a shard"
    for shard in manifest.shards:
        if len(shard.roles) != manifest.splits or not set(shard.roles) <= set(ROLES):
            yield (
                f"{MANIFEST}: the roles of {shard.file} must be {manifest.splits} of "
                f"the letters {', '.join(ROLES)}. Received: {shard.roles!r}"
            )


def _leftovers(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What looks like a part of the dataset and is none."""
    known = {shard.file for shard in manifest.shards}
    for path in sorted(folder.iterdir()):
        if path.suffix == SUFFIX and path.name not in known:
            yield f"{path.name}: the manifest does not name it"
        elif ".partial" in path.name:
            yield f"{path.name}: it was left by a run that stopped; delete it"
