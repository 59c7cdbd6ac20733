"""A dataset of a few records, made without videos, whole and consistent."""

import dataclasses
from pathlib import Path

import numpy as np

from stfn_keras.data.index import Indexed, write_index
from stfn_keras.data.ledger import Rejected, write_ledger
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import (
    RecordWriter,
    decode_example,
    encode_example,
    read_records,
)
from stfn_keras.files import sha256
from stfn_keras.video import image

HEIGHT, WIDTH, FRAMES, PAIRS, SNIPPETS = 20, 28, 6, 2, 3
LABELS = ("fall", "wälk")
ROLES = ("re", "er", "er", "vu")  # of each shard; one group is in each


def write_dataset(
    folder: Path,
    layout: str = "snippet",
    videos: int = 2,
    codes: dict | None = None,
    pairs: dict | None = None,
) -> Path:
    """Write a dataset of four shards and a ledger of one row.

    Args:
        folder: New.
        layout: `snippet` or `dense`.
        videos: Per shard.
        codes: By flow field: its code everywhere, u and v; 148 and 128 by default.
        pairs: By flow field: flow pairs of a snippet, if not `PAIRS`.
    """
    folder.mkdir(parents=True)
    codes = codes or {"dis": (148, 128)}
    pairs = {**dict.fromkeys(codes, PAIRS), **(pairs or {})}
    draws = np.random.default_rng(0)
    rows, shards = [], []
    for number, roles in enumerate(ROLES):
        name = f"small-{roles}-{number:05d}-of-{len(ROLES):05d}.tfrecord"
        with open(folder / name, "wb") as file:
            writer = RecordWriter(file)
            for record in range(videos):
                label = LABELS[record % 2]
                row = Indexed(
                    f"{label}/v g{number} c{record}\n.avi", label, f"g{number}", roles,
                    name, record, FRAMES, 30000 / 1001, HEIGHT, WIDTH,
                )  # fmt: skip
                writer.write(encode_example(features(row, layout, codes, pairs, draws)))
                rows.append(row)
        path = folder / name
        shards.append(Shard(name, roles, videos, path.stat().st_size, sha256(path)))
    field = {"preset": "dis", "version": 1, "parameters": {}, "opencv": "5",
             "bound": 20.0}  # fmt: skip
    flow = {name: {**field, "preset": name, "pairs": pairs[name]} for name in codes}
    write_index(folder, rows)
    write_ledger(folder, [Rejected("cut.avi", "damaged", 9, 4)])
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    Manifest(
        schema=1, name="small", protocol="csv", labels=LABELS, videos=len(rows),
        absent=3, shards=tuple(shards), flow=flow,
        layout=layout, snippets=SNIPPETS, rgb_per_snippet=1, size="256", flip=True,
        inputs=len(rows) + 1,
    ).save(folder)  # fmt: skip
    return folder


def features(
    row: Indexed, layout: str, codes: dict, pairs: dict, draws: np.random.Generator
):
    """The features of one video: noise that moves as `codes` say."""
    dense = layout == "dense"
    frames = draws.integers(0, 255, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    jpegs = [image.encode_rgb(frame) for frame in frames]
    positions = [0, 1, 3]
    made = {
        "video/id": row.path,
        "video/label": LABELS.index(row.label),
        "video/label_text": row.label,
        "video/group": row.group,
        "video/roles": row.roles,
        "video/frames": row.frames,
        "video/rate": row.rate,
        "video/height": row.height,
        "video/width": row.width,
        "snippet/frame": positions,
        "frame/rgb" if dense else "snippet/rgb": (
            jpegs if dense else [jpegs[p] for p in positions]
        ),
    }
    for name, code in codes.items():
        length, count = (1, FRAMES - 1) if dense else (pairs[name], SNIPPETS)
        field = np.broadcast_to(np.uint8(code), (length, HEIGHT, WIDTH, 2))
        key = f"frame/flow/{name}" if dense else f"flow/{name}"
        made[key] = [image.encode_flow(field)] * count
    return made


def rewrite(folder: Path, change, shard: int = 0) -> str:
    """Change a shard's decoded records in place and let its manifest entry agree.

    Returns:
        The shard's name.
    """
    manifest = Manifest.load(folder)
    entry = manifest.shards[shard]
    path = folder / entry.file
    examples = [decode_example(record) for record in read_records(path)]
    change(examples)
    with open(path, "wb") as file:
        for example in examples:
            RecordWriter(file).write(encode_example(example))
    agree(folder, shard)
    return entry.file


def agree(folder: Path, shard: int = 0) -> None:
    """Let the manifest's entry have the size and digest that its file has."""
    manifest = Manifest.load(folder)
    shards = list(manifest.shards)
    path = folder / shards[shard].file
    shards[shard] = dataclasses.replace(
        shards[shard], bytes=path.stat().st_size, sha256=sha256(path)
    )
    dataclasses.replace(manifest, shards=tuple(shards)).save(folder)
