"""Re-read a whole dataset: `python -m data_prep verify DIR...`.

    faults = verify_dataset(Path("data/clips"))  # [] if it is sound

Every byte is read and every statement that a file makes of another is compared. The
headers and ends of images are read; `--decode` decodes them too, far more slowly.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import flags as absl_flags
from tqdm import tqdm

from data_prep.checking.fresh import afresh
from data_prep.checking.manifest_faults import (
    leftovers,
    manifest_faults,
    settings_fault,
    unfinished_addition,
)
from data_prep.checking.record_faults import Example, record_faults
from data_prep.checking.table_faults import Tables
from stfn_keras import flags, storage
from stfn_keras.data.manifest import Manifest, Shard, shard_fault
from stfn_keras.data.records import RecordError, decode_example, read_records
from stfn_keras.data.remote import CacheConfig, location_of, present
from stfn_keras.errors import UserError
from stfn_keras.video.jpeg import Decoder

Visit = Callable[[int, Example | None, int], None]


def main(argv: Sequence[str]) -> None:
    """Print one line per fault of the datasets named; exit 1 if there is any.

    Args:
        argv: The program, and dataset directories or their addresses.

    Raises:
        UserError: No folder is named, or one is no dataset.
    """
    if not argv[1:]:
        raise UserError("verify needs a dataset directory. Received: none")
    config, decode = flags.read(CacheConfig), absl_flags.FLAGS.decode
    if not all([report(name, config, decode) for name in argv[1:]]):
        sys.exit(1)


def report(name: str, config: CacheConfig, decode: bool = False) -> bool:
    """Print each fault of a dataset when it is found, or that there is none.

    Args:
        name: A dataset directory or its address, whose shards are fetched afresh.
        config: Of the cache that says where fetched shards lie for as long.
        decode: Whether to decode every image too.

    Returns:
        Whether it is sound.

    Raises:
        UserError: It is no dataset.
    """
    sound = True
    with afresh(name, config) as folder:
        manifest = Manifest.load(folder)
        keep = not storage.is_remote(name)
        for fault in dataset_faults(folder, decode, keep):
            _say(storage.join(name, fault))
            sound = False
        if unfinished_addition(folder, manifest):
            _say(
                f"{name}: note: an addition to it is unfinished: finish it with the "
                "same --add command"
            )
    if sound:
        size = sum(shard.bytes for shard in manifest.shards)
        _say(
            f"{name}: sound: {manifest.videos} videos in "
            f"{len(manifest.shards)} shards, {size / 1e6:.1f} MB"
        )
    return sound


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
        folder: A dataset directory. Of a mirror, cached shards are read as they are.
        decode: Whether to decode every image too.

    Returns:
        One line per fault, starting with the file's name.

    Raises:
        UserError: The folder has no readable manifest.
    """
    return list(dataset_faults(folder, decode))


def dataset_faults(
    folder: Path, decode: bool = False, keep: bool = True
) -> Iterator[str]:
    """Yield the lines of `verify_dataset` as they are found.

    Args:
        folder: A dataset directory.
        decode: Whether to decode every image too.
        keep: Whether the shards stay. Those of a mirror that nobody else reads may
            go once they are read, so that one of them lies on the disk at a time.

    Raises:
        UserError: The folder has no readable manifest.
    """
    manifest = Manifest.load(folder)
    if fault := settings_fault(manifest):
        yield _line(fault)
        return
    tables = Tables(folder, manifest)
    for faults in (
        manifest_faults(manifest),
        _shards_faults(folder, manifest, tables, Decoder() if decode else None, keep),
        leftovers(folder, manifest),
        tables.finish(),
    ):
        yield from map(_line, faults)


def _shards_faults(
    folder: Path,
    manifest: Manifest,
    tables: Tables,
    decoder: Decoder | None,
    keep: bool,
) -> Iterator[str]:
    """Read all shards; what is wrong with each, then with the tables' rows of it."""
    found: list[str] = []  # by the tables, in the shard at hand
    done, total = 0, sum(shard.bytes for shard in manifest.shards)
    with tqdm(total=total, unit="B", unit_scale=True, desc="verify") as bar:

        def visit(number: int, example: Example | None, size: int) -> None:
            bar.update(size)
            if example is None:
                tables.skip(number)
            else:
                found.extend(tables.add(number, example))

        for shard in sorted(manifest.shards, key=lambda shard: shard.file):
            tables.begin(shard.file)
            sound = True
            for fault in shard_faults(shard, folder, manifest, decoder, visit):
                sound = False
                yield fault
            yield from found
            found.clear()
            if sound:
                yield from tables.end()
            if not keep:
                (folder / shard.file).unlink(missing_ok=True)
            done += shard.bytes
            bar.update(done - bar.n)


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
        text = str(error).removeprefix(storage.join(location_of(folder), ""))
        yield text if text.startswith(shard.file) else f"{shard.file}: {text}"
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


def _line(text: str) -> str:
    """The text on one line that any terminal takes, whatever names are in it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def _say(text: str) -> None:
    """Print a line at once, above the bar."""
    tqdm.write(_line(text), file=sys.stdout)
    sys.stdout.flush()
