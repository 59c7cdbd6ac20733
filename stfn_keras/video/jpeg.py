"""What a JPEG's bytes say of it, and whether it is whole; no pixel is made.

    header = read_header(data)  # Header(height=240, width=320, components=3)
    Decoder().check(data)       # decodes it, as strictly as FFmpeg can

OpenCV and TensorFlow paint over damaged parts of an image: their success says little.
"""

import re
from dataclasses import dataclass

import av

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_FILL = 0xFF
# Within compressed pixels 0xFF is followed by 0, by a restart's code, or by a fill.
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_FRAMES = {0xC0: True, 0xC1: True, 0xC2: False}  # kinds of frame: is it sequential?


@dataclass(frozen=True)
class Header:
    """The size of a JPEG.

    Attributes:
        height: In pixels.
        width: In pixels.
        components: 1 for grayscale, 3 for colour.
    """

    height: int
    width: int
    components: int

    def __str__(self) -> str:
        kind = {1: "grayscale", 3: "colour"}.get(self.components)
        return f"{self.height} x {self.width} pixels, " + (
            kind or f"{self.components} components"
        )


def read_header(data: bytes, strict: bool = True) -> Header:
    """Read a JPEG's size, and check that it has all of its parts up to its end.

    Damage within the compressed pixels is not seen; see `Decoder`.

    Args:
        data: A file's bytes.
        strict: Whether to refuse what the standard allows and OpenCV never writes:
            fill bytes before a marker, and bytes behind the end.

    Raises:
        ValueError: The bytes are no JPEG, or one that is cut; says which.
    """
    if not data.startswith(_START):
        raise ValueError("it is no JPEG")
    header, sequential, place = None, False, len(_START)
    while True:
        while not strict and data[place + 1 : place + 2] == bytes([_FILL]):
            place += 1
        marker, length = data[place : place + 2], data[place + 2 : place + 4]
        if len(length) < 2 or marker[0] != 0xFF:
            raise ValueError("its JPEG header is cut or altered")
        size = int.from_bytes(length)
        if marker[1] in _FRAMES:
            sequential = _FRAMES[marker[1]]
            block = data[place + 5 : place + 10]
            if len(block) == 5:
                height, width = block[:2], block[2:4]
                header = Header(int.from_bytes(height), int.from_bytes(width), block[4])
        place += 2 + size
        if marker[1] == _SCAN:
            break
    if header is None:
        raise ValueError("its JPEG header tells no size")
    if strict and not data.endswith(_END):
        raise ValueError("the end of its JPEG is cut off")
    end = len(data) - len(_END) if strict else data.find(_END, place)
    if end < 0:
        raise ValueError("the end of its JPEG is cut off")
    if sequential and _has_markers(data, place, end, strict):
        raise ValueError("its JPEG is interrupted by another marker")
    return header


def _has_markers(data: bytes, start: int, stop: int, strict: bool) -> bool:
    """Whether compressed pixels hold a marker other than a restart."""
    if not strict:
        return _MARKER.search(data, start, stop) is not None
    found = data.count(b"\xff", start, stop) - data.count(b"\xff\x00", start, stop)
    if found:
        restarts = (bytes([0xFF, code]) for code in range(0xD0, 0xD8))
        found -= sum(data.count(restart, start, stop) for restart in restarts)
    return found != 0


class Decoder:
    """Decodes JPEGs to see whether they can be, strictly."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("mjpeg", "r")
        self._codec.thread_count = 1
        self._codec.options = {"err_detect": "explode"}

    def check(self, data: bytes) -> None:
        """Decode a JPEG and forget its pixels.

        Raises:
            ValueError: It is damaged.
        """
        try:
            frames = self._codec.decode(av.Packet(data))
        except av.FFmpegError as error:
            raise ValueError("its JPEG cannot be decoded") from error
        if len(frames) != 1 or frames[0].is_corrupt:
            raise ValueError("its JPEG is damaged")
