"""Join one-pair flow mosaics to a snippet's mosaic, without decoding a pixel.

    jpeg = join([pair_1, pair_2, pair_3])  # decodes to the three, one below the other

A dense dataset keeps a JPEG per flow pair, and an exported model takes one per
snippet. Tiles are padded to whole JPEG blocks, so the entropy-coded scans can follow
each other: a restart marker between two of them resets the decoder as a new file
would. Nothing is encoded again, and every decoded value stays.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from stfn_keras.video.image import BLOCK

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SOF0, _SOS, _DRI = 0xC0, 0xDA, 0xDD
_RST0 = 0xD0
_MAX_INTERVAL = 0xFFFF  # blocks between two restart markers
_FRAME = struct.Struct(">BHHB")  # precision, height, width, components


@dataclass(frozen=True)
class _Jpeg:
    """A baseline grayscale JPEG in its parts."""

    segments: tuple[tuple[int, bytes], ...]  # (marker, content) before the scan
    scan: bytes  # entropy-coded, byte-aligned

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels."""
        content = next(c for marker, c in self.segments if marker == _SOF0)
        _, height, width, _ = _FRAME.unpack_from(content)
        return height, width

    @property
    def tables(self) -> tuple[tuple[int, bytes], ...]:
        """What two JPEGs must share to be joined: all but their height."""
        width = self.frame[1]
        return tuple(
            (marker, struct.pack(">H", width) + content[_FRAME.size :])
            if marker == _SOF0
            else (marker, content)
            for marker, content in self.segments
        )


def join(jpegs: Sequence[bytes]) -> bytes:
    """Join JPEGs of `image.encode_flow` that hold one pair each.

    Args:
        jpegs: L baseline grayscale JPEGs of one size, sides multiples of 8.

    Returns:
        One JPEG of L times the height, whose pixels are theirs.

    Raises:
        ValueError: They are no such JPEGs, or their sizes or tables differ.
    """
    parts = [_read(jpeg) for jpeg in jpegs]
    first = parts[0]
    height, width = first.frame
    if any(part.tables != first.tables or part.frame[0] != height for part in parts):
        raise ValueError("expected JPEGs of one size, made with the same tables")
    blocks = (height // BLOCK) * (width // BLOCK)
    if height % BLOCK or width % BLOCK or blocks > _MAX_INTERVAL:
        raise ValueError(
            f"expected sides that are multiples of {BLOCK} and at most {_MAX_INTERVAL} "
            f"blocks. Received: {height} x {width} pixels"
        )
    made = [_SOI]
    for marker, content in first.segments:
        if marker == _SOF0:
            precision, _, _, components = _FRAME.unpack_from(content)
            whole = _FRAME.pack(precision, len(parts) * height, width, components)
            content = whole + content[_FRAME.size :]
        if marker == _SOS:
            made.append(_segment(_DRI, struct.pack(">H", blocks)))
        made.append(_segment(marker, content))
    for number, part in enumerate(parts):
        if number:
            made.append(bytes((0xFF, _RST0 + (number - 1) % 8)))
        made.append(part.scan)
    return b"".join([*made, _EOI])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _read(jpeg: bytes) -> _Jpeg:
    segments, position = [], 2
    try:
        while jpeg[:2] == _SOI:
            prefix, marker, length = struct.unpack_from(">BBH", jpeg, position)
            content = jpeg[position + 4 : position + 2 + length]
            segments.append((marker, content))
            position += 2 + length
            if prefix != 0xFF or marker in (_DRI, 0xC2):
                break
            if marker == _SOS:
                # Grayscale: one component, so that a unit of the scan is one block.
                single = any(m == _SOF0 and c[5] == 1 for m, c in segments)
                if not single or not jpeg.endswith(_EOI):
                    break
                return _Jpeg(tuple(segments), jpeg[position : -len(_EOI)])
    except (struct.error, IndexError):
        pass
    raise ValueError(
        f"expected a whole baseline grayscale JPEG. Received {len(jpeg)} bytes that "
        "are none"
    )
