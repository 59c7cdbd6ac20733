"""What is wrong inside one record, given its shard and the manifest.

faults = list(record_faults(decode_example(record), shard, manifest))
"""

import math
from collections.abc import Iterator

from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import to_bytes
from stfn_keras.video import jpeg
from stfn_keras.video.image import padded
from stfn_keras.video.jpeg import Header

Example = dict[str, list]

_SINGLE = {
    "video/id": bytes,
    "video/label": int,
    "video/label_text": bytes,
    "video/group": bytes,
    "video/roles": bytes,
    "video/frames": int,
    "video/rate": float,
    "video/height": int,
    "video/width": int,
}
_POSITIONS = "snippet/frame"


def record_faults(
    example: Example,
    shard: Shard,
    manifest: Manifest,
    decoder: jpeg.Decoder | None = None,
) -> Iterator[str]:
    """Yield what is wrong with a record of schema 1, a sentence each.

    Args:
        example: The record, from `decode_example`.
        shard: The shard that it lies in.
        manifest: Of the dataset.
        decoder: Decodes every JPEG too if given; otherwise their headers and ends
            are read.
    """
    rgb, flow = _image_names(manifest)
    names = {*_SINGLE, _POSITIONS, rgb, *flow}
    yield from (f"{name} is missing" for name in sorted(names - set(example)))
    yield from (
        f"{name!r} does not belong to the {manifest.layout} layout"
        for name in sorted(set(example) - names)
    )
    unusable = list(_single_faults(example))
    yield from unusable
    if unusable or names - set(example):
        return
    yield from _value_faults(example, shard, manifest)
    yield from _position_faults(example, manifest)
    yield from _image_faults(example, manifest, decoder)


def span(manifest: Manifest) -> int:
    """Frames that a snippet of the dataset reaches over."""
    pairs = max(field["pairs"] for field in manifest.flow.values())
    return max(pairs + 1, manifest.rgb_per_snippet)


def _image_names(manifest: Manifest) -> tuple[str, dict[str, int]]:
    """The features that hold frames and flow; of flow, with the pairs of a mosaic."""
    if manifest.layout == "dense":
        return "frame/rgb", {f"frame/flow/{name}": 1 for name in manifest.flow}
    pairs = {f"flow/{name}": field["pairs"] for name, field in manifest.flow.items()}
    return "snippet/rgb", pairs


def _single_faults(example: Example) -> Iterator[str]:
    for name, kind in _SINGLE.items():
        values = example.get(name)
        if values is not None and [type(value) for value in values] != [kind]:
            yield f"{name} must be one {kind.__name__}. Received: {values!r:.100}"


def _value_faults(example: Example, shard: Shard, manifest: Manifest) -> Iterator[str]:
    value = {name.removeprefix("video/"): example[name][0] for name in _SINGLE}
    label, labels = value["label"], manifest.labels
    if not value["id"]:
        yield "video/id is empty"
    if not 0 <= label < len(labels):
        yield f"video/label must be 0 to {len(labels) - 1}. Received: {label}"
    elif value["label_text"] != to_bytes(labels[label]):
        text = value["label_text"]
        yield f"video/label_text must be {labels[label]!r}. Received: {text!r}"
    if value["roles"] != shard.roles.encode():
        yield f"video/roles must be {shard.roles!r}. Received: {value['roles']!r}"
    if value["frames"] < span(manifest):
        yield (
            f"video/frames must be {span(manifest)} or more, the frames of a snippet. "
            f"Received: {value['frames']}"
        )
    if not 0.0 <= value["rate"] < math.inf:
        yield f"video/rate must be 0 or more, and finite. Received: {value['rate']}"
    width, height = value["width"], value["height"]
    exact = "x" in manifest.size
    fits = f"{width}x{height}" == manifest.size if exact else (
        0 < min(height, width) <= int(manifest.size)
    )  # fmt: skip
    if not fits:
        what = "a size of" if exact else "a short side of at most"
        yield f"expected {what} {manifest.size}. Received: {width}x{height}"


def _position_faults(example: Example, manifest: Manifest) -> Iterator[str]:
    places = example[_POSITIONS]
    if len(places) != manifest.snippets:
        yield (
            f"{_POSITIONS} must have {manifest.snippets} items. Received: {len(places)}"
        )
    elif not all(isinstance(place, int) for place in places):
        yield f"{_POSITIONS} must hold whole numbers. Received: {places!r:.100}"
    elif places != sorted(places):
        yield f"{_POSITIONS} must not decrease. Received: {places}"
    else:
        last = example["video/frames"][0] - span(manifest)
        if places[0] < 0 or places[-1] > last:
            yield f"{_POSITIONS} must lie in 0 to {last}. Received: {places}"


def _image_faults(
    example: Example, manifest: Manifest, decoder: jpeg.Decoder | None
) -> Iterator[str]:
    """Check each list's length, and yield the first image at fault of each list."""
    height, width = example["video/height"][0], example["video/width"][0]
    frames, dense = example["video/frames"][0], manifest.layout == "dense"
    rgb, flow = _image_names(manifest)
    snippets = manifest.snippets
    expected = {
        rgb: (frames if dense else snippets * manifest.rgb_per_snippet,
              Header(height, width, 3)),
        **{name: (frames - 1 if dense else snippets,
                  Header(pairs * padded(height), 2 * padded(width), 1))
           for name, pairs in flow.items()},
    }  # fmt: skip
    for name, (length, header) in expected.items():
        images = example[name]
        if len(images) != length:
            yield f"{name} must have {length} items. Received: {len(images)}"
        found = [
            (number, fault)
            for number, image in enumerate(images)
            if (fault := _image_fault(image, header, decoder))
        ]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield f"{name}, item {found[0][0]}: {found[0][1]}{more}"


def _image_fault(
    image: bytes, expected: Header, decoder: jpeg.Decoder | None
) -> str | None:
    if not isinstance(image, bytes):
        return f"expected a JPEG. Received: {image!r:.100}"
    try:
        received = jpeg.read_header(image)
        if received != expected:
            return f"expected a JPEG of {expected}. Received: {received}"
        if decoder:
            decoder.check(image)
    except ValueError as error:
        return str(error)
    return None
