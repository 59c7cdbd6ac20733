"""Re-read a whole dataset: `python -m data_prep verify DIR`.

    faults = verify_dataset(Path("data/clips"))  # [] if it is sound

Sizes and digests, then each record: checksums, label, roles, list lengths.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest, Shard, shard_fault
from stfn_keras.data.records import RecordError, decode_example, read_records
from stfn_keras.errors import UserError


def main(argv: Sequence[str]) -> None:
    """Print one line per fault of the folders named; exit 1 if there is any.

    Raises:
        UserError: No folder is named, or one is no dataset.
    """
    folders = [Path(name) for name in argv[2:]]
    if not folders:
        raise UserError("verify needs a dataset directory. Received: none")
    faulty = False
    for folder in folders:
        manifest = Manifest.load(folder)
        faults = verify_dataset(folder)
        for fault in faults:
            print(fault)
        faulty = faulty or bool(faults)
        if not faults:
            print(
                f"{folder}: sound: {manifest.videos} videos in "
                f"{len(manifest.shards)} shards"
            )
    if faulty:
        sys.exit(1)


def verify_dataset(folder: Path) -> list[str]:
    """Check every shard's size, digest, checksums, count and records.

    Returns:
        One line per fault, starting with the file's name.

    Raises:
        UserError: The folder has no readable manifest.
    """
    manifest = Manifest.load(folder)
    faults = []
    for shard in tqdm(manifest.shards, unit="shard", desc="verify"):
        if fault := shard_fault(shard, folder) or _content_fault(
            shard, folder, manifest
        ):
            faults.append(f"{shard.file}: {fault}")
    known = {shard.file for shard in manifest.shards}
    for path in sorted(folder.glob("*.tfrecord")):
        if path.name not in known:
            faults.append(f"{path.name}: the manifest does not name it")
    total = sum(shard.videos for shard in manifest.shards)
    if total != manifest.videos:
        faults.append(
            f"manifest.json: expected {manifest.videos} videos. Its shards have {total}"
        )
    try:
        read_ledger(folder)
    except UserError as error:
        faults.append(f"ledger.csv: {error}")
    return faults


def _content_fault(shard: Shard, folder: Path, manifest: Manifest) -> str | None:
    """Say what is wrong inside a shard; None if nothing is."""
    count = 0
    try:
        for record in read_records(folder / shard.file):
            if fault := _record_fault(decode_example(record), shard, manifest):
                return f"record {count}: {fault}"
            count += 1
    except RecordError as error:
        return str(error)
    if count != shard.videos:
        return f"expected {shard.videos} records. Received: {count}"
    return None


def _record_fault(
    example: dict[str, list], shard: Shard, manifest: Manifest
) -> str | None:
    expected = {
        "video/roles": [shard.roles.encode()],
        "video/label_text": [
            manifest.labels[label].encode()
            for label in example.get("video/label", [])
            if 0 <= label < len(manifest.labels)
        ],
    }
    for key, value in expected.items():
        if not value or example.get(key) != value:
            return f"{key} must be {value}. Received: {example.get(key)}"
    lengths = {"snippet/frame": 1, "snippet/rgb": manifest.rgb_per_snippet}
    lengths |= {f"flow/{name}": 1 for name in manifest.flow}
    for key, per_snippet in lengths.items():
        length, received = manifest.snippets * per_snippet, len(example.get(key, []))
        if received != length:
            return f"{key} must have {length} items. Received: {received}"
    return None
