"""The checksums that a RAR archive states for its files.

    sums = stated_sums(Path("UCF101.rar"))  # (size, CRC-32) per entry, in its order

libarchive does not hand them out, and it does not check them either where a file is
stored without compression, as videos are: a flipped bit went unseen in a trial with
3.6.2 and 3.8.10. So the headers, which both versions of the format describe openly,
are read here, and `unpack` compares.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from stfn_keras.errors import UserError

RAR4 = b"Rar!\x1a\x07\x00"
RAR5 = b"Rar!\x1a\x07\x01\x00"

Sums = list[tuple[int, int | None]]

_MOST_HEADER = 1 << 21  # bytes of a RAR 5 header
_MAIN4, _FILE4, _END4 = 0x73, 0x74, 0x7B
_FILE5, _ENCRYPTION5, _END5 = 2, 4, 5


def stated_sums(path: Path) -> Sums:
    """Unpacked size, modulo 2**32, and CRC-32 (None if not stated) of each entry.

    Folders and links are entries too. Empty where nothing can be told: another
    format, encrypted headers, or a damaged header, which libarchive then reports.

    Raises:
        UserError: A RAR 5 archive lacks its end, which libarchive would not notice.
    """
    with path.open("rb") as file:
        start = file.read(len(RAR5))
        if start == RAR5:
            return _sums5(file, path)
        if start.startswith(RAR4):
            file.seek(len(RAR4))
            return _sums4(file)
    return []


def _sums4(file: BinaryIO) -> Sums:
    sums: Sums = []
    while len(head := file.read(7)) == 7:
        position = file.tell() - 7
        _, kind, flags, size = struct.unpack("<HBHH", head)
        rest = file.read(size - 7) if size >= 7 else b""
        if size < 7 or len(rest) < size - 7 or (kind == _MAIN4 and flags & 0x80):
            return []
        if kind == _END4:
            break
        data = 0
        if kind == _FILE4:
            if size < 32 or flags & 0x3:  # continued in another volume
                return []
            data, unpacked, _, crc = struct.unpack_from("<IIBI", rest)
            if flags & 0x100:
                if size < 40:
                    return []
                data += struct.unpack_from("<I", rest, 25)[0] << 32
            sums.append((unpacked, crc))
        elif flags & 0x8000 and len(rest) >= 4:
            data = struct.unpack_from("<I", rest)[0]
        file.seek(position + size + data)
    return sums


def _sums5(file: BinaryIO, path: Path) -> Sums:
    sums: Sums = []
    while len(file.read(4)) == 4:  # the header's own checksum, which libarchive checks
        size = _file_number(file)
        header = file.read(min(size, _MOST_HEADER))
        end = file.tell()
        try:
            numbers = _Numbers(header)
            kind, flags = numbers.next(), numbers.next()
            if kind == _ENCRYPTION5:
                return []
            if kind == _END5:
                return sums
            if flags & 1:
                numbers.next()  # size of the extra area, which ends the header
            data = numbers.next() if flags & 2 else 0
            if kind == _FILE5:
                sums.append(numbers.file_sum())
        except IndexError:
            break
        file.seek(end + data)
    raise UserError(
        f"{path.name} is cut off: it must end with RAR's end mark. Received: none; get "
        "it again, then the same command continues"
    )


def _file_number(file: BinaryIO) -> int:
    """A RAR 5 number from the file: seven bits a byte, the lowest first."""
    raw = b""
    while len(raw) < 10 and (byte := file.read(1)):
        raw += byte
        if byte[0] < 0x80:
            break
    try:
        return _Numbers(raw).next()
    except IndexError:
        return 0


class _Numbers:
    """Reads a RAR 5 header's fields; IndexError past its end."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.place = raw, 0

    def next(self) -> int:
        value = shift = 0
        while True:
            byte = self.raw[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def file_sum(self) -> tuple[int, int | None]:
        """Size and CRC-32 of a file header whose common fields have been read."""
        flags = self.next()
        size = self.next() % (1 << 32)
        self.next()  # attributes
        self.place += 4 if flags & 2 else 0  # time
        if not flags & 4:
            return size, None
        raw = self.raw[self.place : self.place + 4]
        if len(raw) < 4:
            raise IndexError
        return size, struct.unpack("<I", raw)[0]
