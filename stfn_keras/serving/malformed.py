"""Malformed requests, drawn at random, each with the inputs that an error may name.

    bad = malformed(good, np.random.default_rng(0))
    bad.signature, bad.inputs, bad.named  # "serve_jpeg", {...}, ("flow_jpeg",)

To try a server with: it must refuse every one of them, and still answer good ones.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from stfn_keras.video import image

Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays, str, np.random.Generator], Arrays | None]

_PNG, _GIF = b"\x89PNG\r\n\x1a\n" + bytes(50), b"GIF89a" + bytes(50)
UNKNOWN = "unknown_input"
_HUGE = 65_000  # pixels of a side


@dataclass(frozen=True)
class Bad:
    """A request that must be refused.

    Attributes:
        kind: What is wrong with it.
        signature: That it asks for.
        inputs: By name.
        named: The inputs of which an error must name one.
    """

    kind: str
    signature: str
    inputs: Arrays
    named: tuple[str, ...]


def malformed(
    good: Mapping[str, Arrays], draws: np.random.Generator, rest: bool = False
) -> Bad:
    """Draw a malformed request.

    Args:
        good: A good request's inputs by signature and name, a batch of one video.
        draws: Decides on the signature, the input and what is wrong.
        rest: Whether it must be possible to say in JSON.
    """
    while True:
        signature = str(draws.choice(list(good)))
        inputs = dict(good[signature])
        named = str(draws.choice(list(inputs)))
        kinds = {**ANY, **(JPEG if named.endswith("_jpeg") else NUMBERS)}
        kind = str(draws.choice(list(kinds)))
        if rest and kind in NOT_IN_JSON:
            continue
        changed = kinds[kind](inputs, named, draws)
        if changed is not None:
            every = tuple(inputs)  # any of which may be said not to fit the others
            names = {"unknown": (UNKNOWN,), "empty": every, "batch": every}
            return Bad(kind, signature, changed, names.get(kind, (named,)))


def _missing(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    return {other: array for other, array in inputs.items() if other != name}


def _unknown(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    return {**inputs, UNKNOWN: inputs[name]}


def _rank(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    array = inputs[name]
    less = array.ndim > 1 and draws.integers(2)
    return {**inputs, name: array[0] if less else array[None]}


def _length(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays | None:
    """Another size of one side that is not the batch, such as T."""
    array = inputs[name]
    if array.ndim < 2:
        return None
    axis = int(draws.integers(1, array.ndim))
    longer = np.concatenate([array, array.take([0], axis)], axis)
    return {**inputs, name: longer}


def _batch(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays | None:
    """More videos than the other inputs have."""
    if len(inputs) < 2:
        return None
    return {**inputs, name: np.concatenate([inputs[name]] * 2)}


def _empty(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    return {other: array[:0] for other, array in inputs.items()}


def _type(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    kind = np.float32 if inputs[name].dtype == np.uint8 else np.uint8
    return {**inputs, name: np.zeros(inputs[name].shape, kind)}


def _not_finite(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
    array = inputs[name].astype(np.float32)
    array.flat[int(draws.integers(array.size))] = draws.choice([np.nan, np.inf])
    return {**inputs, name: array}


def _image(change: Callable[[bytes, np.random.Generator], bytes]) -> Change:
    """A change of one of the images."""

    def changed(inputs: Arrays, name: str, draws: np.random.Generator) -> Arrays:
        array = inputs[name].copy()
        where = int(draws.integers(array.size))
        array.flat[where] = change(array.flat[where], draws)
        return {**inputs, name: array}

    return changed


def _other_size(jpeg: bytes, draws: np.random.Generator) -> bytes:
    side = int(draws.integers(3, 9)) * image.BLOCK
    return image.encode_rgb(np.zeros((side, side + 1, 3), np.uint8))


def huge(jpeg: bytes) -> bytes:
    """A JPEG with a header that claims to be 65,000 x 65,000 pixels."""
    data, position = bytearray(jpeg), 2
    while True:
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker in (0xC0, 0xC1, 0xC2):  # start of frame
            struct.pack_into(">HH", data, position + 5, _HUGE, _HUGE)
            return bytes(data)
        position += 2 + length


ANY: dict[str, Change] = {
    "missing": _missing,
    "unknown": _unknown,
    "rank": _rank,
    "length": _length,
    "batch": _batch,
    "empty": _empty,
    "type": _type,
}
NUMBERS: dict[str, Change] = {"not finite": _not_finite}
JPEG: dict[str, Change] = {
    "random bytes": _image(lambda jpeg, draws: draws.bytes(int(draws.integers(1, 99)))),
    "no bytes": _image(lambda jpeg, draws: b""),
    "PNG": _image(lambda jpeg, draws: _PNG),
    "GIF": _image(lambda jpeg, draws: _GIF),
    "header cut": _image(lambda jpeg, draws: jpeg[: int(draws.integers(3, 100))]),
    "cut": _image(lambda jpeg, draws: jpeg[: len(jpeg) // 2]),
    "huge": _image(lambda jpeg, draws: huge(jpeg)),
    "other size": _image(_other_size),
}
NOT_IN_JSON = ("not finite", "type", "empty")  # no types, no rank of empty lists
