"""Tiny RAR archives with stored files, as no free program writes them.

`rar4` and `rar5` return the bytes of an archive of (name, content) pairs. Written
from the published descriptions of both formats.
"""

import struct
import zlib

REGULAR, LINK, DEVICE, FOLDER = 0o100644, 0o120777, 0o020666, 0o040755

Files = list[tuple[bytes, bytes]]


def rar4(files: Files, mode: int = REGULAR, name_flags: int = 0) -> bytes:
    """RAR 4, method 0x30 (stored), made on Unix."""
    blocks = [b"Rar!\x1a\x07\x00", _block4(0x73, 0, bytes(6))]
    for name, data in files:
        fields = struct.pack(
            "<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0, 20, 0x30,
            len(name), mode,
        )  # fmt: skip
        blocks += [_block4(0x74, 0x8000 | name_flags, fields + name), data]
    return b"".join([*blocks, _block4(0x7B, 0x4000, b"")])


def _block4(kind: int, flags: int, rest: bytes) -> bytes:
    body = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
    return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body


def rar5(
    files: Files,
    mode: int = REGULAR,
    link: tuple[int, bytes] | None = None,
    sums: bool = True,
) -> bytes:
    """RAR 5, stored, made on Unix; `link` is a redirection's type and target.

    Without `sums` it states no CRC-32, which the format allows.
    """
    blocks = [b"Rar!\x1a\x07\x01\x00", _block5(_vint(1) + _vint(0) + _vint(0))]
    extra = b""
    if link:
        record = _vint(5) + _vint(link[0]) + _vint(0) + _vint(len(link[1])) + link[1]
        extra = _vint(len(record)) + record
    for name, data in files:
        flags = 2 | bool(extra)
        header = _vint(2) + _vint(flags)
        header += _vint(len(extra)) if extra else b""
        has_sum = 4 if sums else 0
        header += _vint(len(data)) + _vint(has_sum) + _vint(len(data)) + _vint(mode)
        header += struct.pack("<I", zlib.crc32(data)) if sums else b""
        header += _vint(0) + _vint(1)
        header += _vint(len(name)) + name + extra
        blocks += [_block5(header), data]
    return b"".join([*blocks, _block5(_vint(5) + _vint(0) + _vint(0))])


def _block5(header: bytes) -> bytes:
    body = _vint(len(header)) + header
    return struct.pack("<I", zlib.crc32(body)) + body


def _vint(value: int) -> bytes:
    parts = []
    while True:
        value, low = value >> 7, value & 0x7F
        parts.append(low | (0x80 if value else 0))
        if not value:
            return bytes(parts)
