"""Whether a dataset's manifest can be true, and what lies beside its shards.

    if fault := settings_fault(manifest):
        ...  # nothing can be compared with it
    faults = [*manifest_faults(manifest), *leftovers(folder, manifest)]

Every fault is a sentence that starts with the name of the file at fault.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data_prep.output import read_addition
from stfn_keras import storage
from stfn_keras.data.manifest import MANIFEST, ROLES, Manifest
from stfn_keras.data.remote import location_of
from stfn_keras.errors import UserError

SUFFIX = ".tfrecord"


def settings_fault(manifest: Manifest) -> str | None:
    """Why nothing can be compared with a manifest; None if everything can."""
    try:
        _ = manifest.preparation
        numbers = [manifest.videos, manifest.absent, manifest.inputs]
        for shard in manifest.shards:
            numbers += [shard.videos, shard.bytes]
        numbers += [field["pairs"] for field in manifest.flow.values()]
        words = [*manifest.labels, *(shard.file for shard in manifest.shards)]
        if {type(n) for n in numbers} <= {int} and {type(w) for w in words} <= {str}:
            return None
        return f"{MANIFEST}: it is damaged: a number or a name is of another type"
    except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
        return f"{MANIFEST}: it is damaged: {error!r}"


def manifest_faults(manifest: Manifest) -> Iterator[str]:
    """Yield what a manifest says that contradicts itself."""
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


def leftovers(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what looks like a part of the dataset and is none."""
    known = {shard.file for shard in manifest.shards}
    begun = unfinished_addition(folder, manifest)
    try:
        # Of a mirror those behind the address: its own folder is a cache at work.
        names = storage.names(location_of(folder))
    except UserError:  # not every store lists what it holds
        return
    for name in names:
        if name.endswith(SUFFIX) and name not in known:
            if not begun or not name.startswith(begun):
                yield f"{name}: the manifest does not name it"
        elif ".partial" in name:
            yield f"{name}: it was left by a run that stopped; delete it"


def unfinished_addition(folder: Path, manifest: Manifest) -> str:
    """What the names of an unfinished addition's shards begin with; "" without one."""
    try:
        addition = read_addition(location_of(folder))
    except (OSError, UserError, ValueError):  # none that --add could take up
        return ""
    if not isinstance(addition, dict) or "number" not in addition:
        return ""
    begun = f"{manifest.name}-add{addition['number']}-"
    # The manifest comes last: with them in it only the tidying is left.
    named = any(str(shard.file).startswith(begun) for shard in manifest.shards)
    return "" if named else begun
