"""A dataset in figures, as lines of text; no shard is read but for the flow.

for line in dataset_facts(folder, manifest, read_index(folder), read_ledger(folder)):
    print(line)
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from data_prep.checking.flow_statistics import FlowStatistics
from data_prep.checking.stored import StoredVideo
from stfn_keras.data.index import Indexed
from stfn_keras.data.ledger import Rejected
from stfn_keras.data.manifest import ROLES, Manifest
from stfn_keras.data.remote import location_of

_SIZES = 5  # most common stored sizes shown
_UNSEEN = "\ufffd"


def dataset_facts(
    folder: Path,
    manifest: Manifest,
    rows: Sequence[Indexed],
    ledger: Sequence[Rejected],
) -> list[str]:
    """What a dataset holds: counts, losses, durations, sizes, and its classes."""
    size = sum(shard.bytes for shard in manifest.shards)
    lines = [
        f"{location_of(folder)}: {manifest.videos} videos of "
        f"{len(manifest.labels)} classes in "
        f"{len(manifest.shards)} shards, {size / 1e6:.1f} MB "
        f"({size / max(manifest.videos, 1) / 1e6:.2f} MB a video)",
        f"{'protocol':<12}{manifest.protocol}, {_number(manifest.splits, 'split')}",
        f"{'layout':<12}{_layout(manifest)}",
        *_fields(manifest),
        f"{'not stored':<12}{_losses(manifest, ledger)}",
    ]
    if damaged := [row.errors for row in rows if row.errors]:
        lines.append(
            f"{'damaged':<12}{_number(len(damaged), 'video')} kept, with "
            f"{_number(sum(damaged), 'decoding error')}"
        )
    if rows:
        lines += _durations(rows)
        sizes = Counter(f"{row.width}x{row.height}" for row in rows)
        lines.append(f"{'stored as':<12}{_counted(sizes)}")
    return [*lines, "", *_class_table(manifest, rows)]


def flow_facts(found: dict[str, FlowStatistics], videos: int) -> list[str]:
    """A line of flow statistics for each field, and what is suspicious of them.

    Args:
        found: By flow field.
        videos: How many they were taken from.
    """
    width = max(len("flow"), *map(len, found))
    lines = [
        f"{'flow':<{width}}  {'mean':>7}{'95 %':>7}{'zero':>9}{'at bound':>10}   "
        f"(pixels per frame and shares of vectors, from {_number(videos, 'video')})"
    ]
    for name, flow in found.items():
        lines.append(
            f"{name:<{width}}  {flow.mean:>7.2f}{flow.fast:>7.2f}"
            f"{flow.zero:>9.1%}{flow.saturated:>10.2%}"
        )
    for name, flow in found.items():
        lines += [f"warning: {name}: {text}" for text in flow.warnings()]
    return lines


def video_facts(video: StoredVideo) -> list[str]:
    """What a dataset holds of one video."""
    row, manifest = video.row, video.manifest
    lasting = (
        f", {row.frames / row.rate:.1f} s at {row.rate:.2f} a second"
        if row.rate
        else ", at an unknown rate"
    )
    images = [v for values in video.example.values() for v in values]
    size = sum(len(v) for v in images if isinstance(v, bytes))
    return [
        printable(row.path),
        f"{'class':<12}{printable(row.label)}",
        f"{'group':<12}{printable(row.group) or 'none'}",
        f"{'roles':<12}{role_words(row.roles)}",
        f"{'frames':<12}{row.frames}{lasting}",
        f"{'stored as':<12}{row.width}x{row.height}, {size / 1e6:.2f} MB",
        f"{'snippets':<12}{manifest.snippets}, first frames "
        f"{', '.join(map(str, video.positions))}",
        f"{'errors':<12}{row.errors}",
        f"{'record':<12}{row.record} of {row.shard}",
    ]


def role_words(roles: str) -> str:
    """Roles by split in words, such as `train, test, test`."""
    return ", ".join(ROLES[role] for role in roles)


def printable(text: str) -> str:
    """A name that any terminal and any font can take, on one line."""
    return "".join(c if c.isprintable() else _UNSEEN for c in text)


def _layout(manifest: Manifest) -> str:
    pairs = _number(manifest.pairs, "flow pair")
    frames = _number(manifest.rgb_per_snippet, "frame")
    kept = "every frame and pair; " if manifest.layout == "dense" else ""
    return (
        f"{manifest.layout}: {kept}{_number(manifest.snippets, 'snippet')} of {frames} "
        f"and {pairs} each"
    )


def _fields(manifest: Manifest) -> list[str]:
    """A line per flow field: what computed it."""
    return [
        f"{'flow':<12}{name}: version {field['version']}, OpenCV {field['opencv']}, "
        f"bound {field['bound']:g} pixels per frame"
        for name, field in manifest.flow.items()
    ]


def _losses(manifest: Manifest, ledger: Iterable[Rejected]) -> str:
    reasons = Counter(row.reason for row in ledger)
    listed = f"{reasons.total()} in the ledger"
    if reasons:
        listed += f" ({_counted(reasons)})"
    return f"{listed}, {manifest.absent} listed but absent"


def _durations(rows: Sequence[Indexed]) -> list[str]:
    lines = [f"{'frames':<12}{_spread([row.frames for row in rows], '.0f')}"]
    seconds = [row.frames / row.rate for row in rows if row.rate]
    if seconds:
        rates = Counter(f"{row.rate:.2f}" for row in rows if row.rate)
        lines.append(f"{'seconds':<12}{_spread(seconds, '.1f')}")
        lines.append(f"{'frames/s':<12}{_counted(rates)}")
    if unknown := len(rows) - len(seconds):
        lines.append(f"{'':<12}rate unknown for {_number(unknown, 'video')}")
    return lines


def _spread(values: Sequence[float], form: str) -> str:
    least, most = min(values), max(values)
    return (
        f"{least:{form}} to {most:{form}}, median {statistics.median(values):{form}}, "
        f"{sum(values):,.0f} in all"
    )


def _counted(counter: Counter) -> str:
    """`320x240 (360), 240x240 (10)`: the most common first."""
    shown = ", ".join(f"{name} ({n})" for name, n in counter.most_common(_SIZES))
    left = len(counter) - _SIZES
    return shown + (f" and {left} others" if left > 0 else "")


def _class_table(manifest: Manifest, rows: Iterable[Indexed]) -> list[str]:
    """Videos by class, split and role; roles that no video has are left out."""
    counts = Counter(
        (row.label, split, role) for row in rows for split, role in enumerate(row.roles)
    )
    columns = sorted(
        {(split, role) for _, split, role in counts},
        key=lambda column: (column[0], list(ROLES).index(column[1])),
    )
    names = {label: printable(label) for label in manifest.labels}
    width = max(map(len, ["class", "total", *names.values()])) + 2
    words = [f"{ROLES[role]} {split + 1}" for split, role in columns]

    def line(name: str, cells: Iterable[object]) -> str:
        return f"{name:<{width}}" + "".join(
            f"{cell:>{len(word) + 3}}" for cell, word in zip(cells, words, strict=True)
        )

    table = [line("class", words)]
    for label, name in names.items():
        table.append(line(name, [counts[label, *column] for column in columns]))
    totals = [sum(counts[label, *c] for label in manifest.labels) for c in columns]
    return [*table, line("total", totals)]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
