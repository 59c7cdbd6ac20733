"""The frames of an opened video, in order, and every sign of damage.

    with opened("clip.avi", decoding) as source:
        frames = Frames(source, decoding)
        for frame in frames:
            ...

Counting and reading both go through here, so that they see the same frames.
"""

from collections.abc import Iterator

import av

from stfn_keras.video.container import Source, VideoError, refused_memory
from stfn_keras.video.limits import DecodingConfig

# With on_damaged=keep: reading fails for good after so many failures in a row.
_READ_FAILURES = 16


class Frames:
    """The frames of an opened video, in order, and every sign of damage.

    With on_damaged=reject the first sign raises; with keep it is counted, and
    decoding goes on behind it. The same file gives the same frames every time.

    Attributes:
        decoded: Frames given so far.
        errors: Signs of damage survived so far.
    """

    def __init__(self, source: Source, decoding: DecodingConfig) -> None:
        self.decoded = 0
        self.errors = 0
        self._source = source
        self._decoding = decoding

    def __iter__(self) -> Iterator[av.VideoFrame]:
        expected = None
        with refused_memory(self._source.declared):
            for frame in self._sound():
                # Headers lie: the limits hold for what is decoded too.
                if (
                    frame.height * frame.width > self._decoding.max_pixels
                    or self.decoded >= self._decoding.max_frames
                ):
                    raise self._error("too large")
                expected = expected or upright_size(frame)
                if upright_size(frame) != expected:
                    raise self._error("size change")
                self.decoded += 1
                yield frame

    def _sound(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            if packet.is_corrupt:
                self._damage()
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, OSError) as error:
                self._damage(error)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._damage()
                else:
                    yield frame

    def _packets(self) -> Iterator[av.Packet]:
        container, stream = self._source.container, self._source.stream
        packets, failures = container.demux(stream), 0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self._damage(error)
                failures += 1
                if failures == _READ_FAILURES:
                    yield _last_packet(stream)
                    return
                packets = container.demux(stream)
            else:
                failures = 0
                yield packet

    def _damage(self, error: Exception | None = None) -> None:
        if isinstance(error, MemoryError):
            raise error
        if self._decoding.on_damaged == "reject":
            raise self._error("damaged") from error
        self.errors += 1

    def _error(self, reason: str) -> VideoError:
        return VideoError(reason, self._source.declared, self.decoded)


def _last_packet(stream: av.VideoStream) -> av.Packet:
    """The empty packet at which a decoder gives the frames that it holds back."""
    packet = av.Packet()
    packet.stream = stream
    return packet


def quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that put a frame upright."""
    return round(frame.rotation / 90) % 4


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Height and width of a frame once it is put upright, in pixels."""
    size = frame.height, frame.width
    return size[::-1] if quarter_turns(frame) % 2 else size
