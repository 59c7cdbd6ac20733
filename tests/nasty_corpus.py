"""A folder of nasty files, and what each of them must come to.

    expected = build(folder)  # {"run/cut.avi": "damaged", "walk/plain.avi": None, ...}

`build` fills two class folders, `run` and `walk`, for the protocol `folder`: files
that are cut, empty, lying, odd or oddly named, links, and a directory that links to
itself (`walk/loop`, which holds no file of its own). The values are the ledger's
reasons with 3 snippets of 2 pairs; None stands for a video that must be prepared.
`build_special` adds what is no file at all, for the protocol `csv`, which can name it.

Everything is rendered on the spot, the same way each time: at most 40 frames of
about 64 x 48 pixels.
"""

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import av
import numpy as np

SIZE = (64, 48)  # width and height
CLASSES = ("run", "walk")
Change = Callable[[bytearray], bytes | bytearray]


def build(folder: Path) -> dict[str, str | None]:
    """Write the files below `folder`, an existing and empty directory.

    Returns:
        The reason that the ledger must give for each file, by its path relative to
        `folder` (POSIX; bytes that are no UTF-8 as surrogate escapes); None where
        the video must be prepared.
    """
    for name in CLASSES:
        (folder / name).mkdir()
    expected: dict[str, str | None] = {}
    parts = (_sound, _broken, _no_videos, _lying, _named, _linked)
    for index, part in enumerate(parts):
        expected |= part(folder / CLASSES[index % 2])
    return {
        path.relative_to(folder).as_posix(): expected[path.name]
        for path in sorted(folder.glob("*/*"))
        if path.name != "loop"
    }


def build_special(folder: Path) -> dict[str, str | None]:
    """Write what is no regular file into `folder`, an existing directory.

    Returns:
        As `build`. The FIFO would hang whoever opens it without care.
    """
    os.mkfifo(folder / "fifo.avi")
    (folder / "directory.avi").mkdir()
    (folder / "circle.avi").symlink_to("circle.avi")
    return {
        "fifo.avi": "not a file",
        "directory.avi": "not a file",
        "circle.avi": "missing",
        "nowhere.avi": "missing",
        "x" * 300 + ".avi": "missing",
    }


def render(
    path: Path,
    codec: str = "mpeg4",
    frames: int = 24,
    size: tuple[int, int] = SIZE,
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    **container_options: str,
) -> Path:
    """Write a clip of a texture that moves to the left by 2 pixels a frame.

    Args:
        path: Whose suffix says which container.
        codec: An encoder of FFmpeg's.
        frames: How many.
        size: Width and height.
        pixels: Pixel format.
        times: Time stamp of each frame in milliseconds; None for 25 frames per
            second.
        options: Of the encoder.
        **container_options: Of the container.
    """
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=1000 if times else 25)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.bit_rate = 1_000_000  # frames larger than a sector
        stream.options = options or {}
        for index, image in enumerate(pictures(frames, size)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts = times[index] if times else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pictures(frames: int, size: tuple[int, int]) -> Iterable[np.ndarray]:
    """The texture, uint8 RGB (height, width, 3), frame by frame."""
    width, height = size
    shape = (height // 4 + 1, (width + 2 * frames) // 4 + 1, 3)
    texture = np.random.default_rng(7).integers(0, 255, shape, dtype=np.uint8)
    texture = texture.repeat(4, 0).repeat(4, 1)
    for index in range(frames):
        yield np.ascontiguousarray(texture[:height, 2 * index : 2 * index + width])


def change(source: Path, target: str, how: Change) -> None:
    """Write a changed copy of a file beside it."""
    (source.parent / target).write_bytes(how(bytearray(source.read_bytes())))


def _sound(folder: Path) -> dict[str, str | None]:
    """Unusual videos with nothing wrong."""
    render(folder / "plain.avi")
    render(folder / "b_frames.avi", options={"bf": "2"})
    gaps = [40 * i + (900 if i > 5 else 0) + (11 if i % 3 else 0) for i in range(24)]
    render(folder / "varying.mp4", "libx264", times=gaps)
    render(folder / "varying.mkv", times=gaps)
    for name in ("uncounted.webm", "uncounted.mkv", "uncounted.ts"):
        codec = {"webm": "libvpx", "mkv": "mpeg4", "ts": "mpeg2video"}
        render(folder / name, codec[name.split(".")[1]])
    render(folder / "odd.avi", "mjpeg", size=(61, 47), pixels="yuvj444p")
    render(folder / "odd.mkv", "ffv1", size=(61, 47), pixels="yuv444p")
    render(folder / "deep.mkv", "ffv1", pixels="yuv420p10le")
    render(folder / "gray.mkv", "ffv1", pixels="gray")
    render(folder / "turned.mp4", "libx264")
    change(folder / "turned.mp4", "turned.mp4", _turned)
    _trimmed(folder)
    change(folder / "turned.mp4", "an mp4 named.avi", bytes)
    change(folder / "plain.avi", "and more.avi", lambda data: data + b"\x5a" * 999)
    return dict.fromkeys((path.name for path in folder.iterdir()), None)


def _trimmed(folder: Path) -> None:
    """MP4 files whose edit lists show 15 of 40 frames, as trimming by copy leaves them.

    FFmpeg forgets the hidden frames before the key frame that it needs, decodes and
    drops the others, and counts all of them in the header.
    """
    for name, codec, options in (
        ("trimmed.mp4", "libx264", {"bf": "0"}),  # one key frame, 25 frames dropped
        ("trimmed_b_frames.mp4", "libx264", {"bf": "2"}),
        ("trimmed_keys.mp4", "mpeg4", {"g": "12"}),  # 24 frames forgotten, 1 dropped
    ):
        whole = render(folder / "whole.mp4", codec, frames=40, options=options)
        copy_from(whole, folder / name, 1.0)
    render(whole, "libx264", frames=40)
    change(whole, "trimmed_end.mp4", _shown)
    whole.unlink()


def copy_from(source: Path, target: Path, start: float, **options: str) -> None:
    """Copy a video's packets so that its first `start` seconds have negative times.

    The muxer of MP4 hides these by an edit list. `options` are the container's.
    """
    with (
        av.open(str(source)) as read,
        av.open(str(target), "w", options=options) as written,
    ):
        old = read.streams.video[0]
        new = written.add_stream_from_template(old)
        shift = round(start / old.time_base)
        for packet in read.demux(old):
            if packet.dts is None:  # the empty packet behind the last one
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = new
            written.mux(packet)


def _broken(folder: Path) -> dict[str, str | None]:
    """Videos that something happened to."""
    avi = render(folder / "cut.avi")
    change(avi, "zeroed.avi", lambda data: _filled(data, 0.5, 512))
    change(avi, "scratched.avi", lambda data: _flipped(data, b"\0\0\1\xb6"))
    change(avi, "no_frames.avi", lambda data: data[: data.index(b"movi") + 4])
    change(avi, "cut.avi", _half)
    jpegs = render(folder / "flipped.avi", "mjpeg", pixels="yuvj420p")
    change(jpegs, "flipped.avi", lambda data: _flipped(data, b"\xff\xc0"))
    mp4 = render(folder / "cut.mp4", "libx264")
    change(mp4, "cut.mp4", _half)
    first = render(folder / "cut_behind_index.mp4", "libx264", movflags="faststart")
    change(first, "zeroed.mp4", lambda data: _filled(data, 0.7, 512))
    change(first, "cut_behind_index.mp4", _half)
    _two_sizes(folder / "two_sizes.avi")
    parts = [
        render(folder / f"{width}.h264", "libx264", size=(width, 48))
        for width in (64, 96)
    ]
    (folder / "two_sizes.h264").write_bytes(b"".join(p.read_bytes() for p in parts))
    for part in parts:
        part.unlink()
    return {
        "cut.avi": "damaged",
        "zeroed.avi": "damaged",
        "scratched.avi": "damaged",
        "flipped.avi": "damaged",
        "no_frames.avi": "no frames",
        "cut.mp4": "unreadable container",
        "cut_behind_index.mp4": "damaged",
        "zeroed.mp4": "damaged",
        "two_sizes.avi": "size change",
        "two_sizes.h264": "size change",
    }


def _no_videos(folder: Path) -> dict[str, str | None]:
    """Files that are no videos, or too little of one."""
    (folder / "empty.avi").write_bytes(b"")
    (folder / "text.avi").write_text("not a video\n" * 100)
    (folder / "README.txt").write_text("Walk on, please.\n" * 100)
    (folder / "noise.avi").write_bytes(np.random.default_rng(1).bytes(5000))
    (folder / "script.avi").write_text("ffconcat version 1.0\nfile plain.avi\n")
    (folder / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nplain.avi\n#EXT-X-ENDLIST\n"
    )
    _tone(folder / "sound.wav", "pcm_s16le")
    _tone(folder / "cover.mp3", "libmp3lame")
    render(folder / "photo.jpg", "mjpeg", frames=1, pixels="yuvj420p")
    change(folder / "cover.mp3", "cover.mp3",
           lambda data: _cover((folder / "photo.jpg").read_bytes()) + data)  # fmt: skip
    render(folder / "one_frame.avi", frames=1)
    render(folder / "two_frames.mkv", frames=2)
    render(folder / "small.avi", size=(8, 8))
    return {
        "empty.avi": "empty",
        "text.avi": "unreadable container",
        "README.txt": "unreadable container",
        "noise.avi": "unreadable container",
        "script.avi": "unreadable container",
        "list.m3u8": "unreadable container",
        "sound.wav": "no video stream",
        "cover.mp3": "no video stream",
        "photo.jpg": "too short",
        "one_frame.avi": "too short",
        "two_frames.mkv": "too short",
        "small.avi": "too small",
    }


def _lying(folder: Path) -> dict[str, str | None]:
    """Headers that promise too much."""
    raw = render(folder / "huge.avi", "rawvideo", frames=3)
    change(raw, "impossible.avi", lambda data: _sized(data, 60_000))
    change(raw, "huge.avi", lambda data: _sized(data, 12_000))
    many = render(folder / "many_frames.avi")
    change(many, "size_in_header.avi", lambda data: _sized(data, 60_000))
    change(many, "many_frames.avi", _billion)
    render(folder / "days.mkv", "ffv1", frames=4, times=[0, 40, 80, 40 * 10**7])
    return {
        "huge.avi": "too large",
        "impossible.avi": "damaged",
        "size_in_header.avi": None,  # the stream's own header knows better
        "many_frames.avi": "too large",
        "days.mkv": "too large",
    }


def _named(folder: Path) -> dict[str, str | None]:
    """Sound videos with names that trip programs up."""
    names = [
        "with  spaces .avi",
        "\"double\" and 'single'.avi",
        "two\nlines.avi",
        "tab\tand\\backslash.avi",
        "Übung ćwiczenie 体操.avi",
        "frame_%03d.avi",
        "-i.avi",
        "a'; touch PWNED; '.avi",
        "$(touch PWNED) `touch PWNED`.avi",
        "comma, semicolon; *?[a].avi",
        "http:a.avi",
        "n" * 200 + ".avi",
        os.fsdecode(b"latin-1 \xfcbung \xff.avi"),
    ]
    data = render(folder / "name.avi").read_bytes()
    (folder / "name.avi").unlink()
    for name in names:
        (folder / name).write_bytes(data)
    return dict.fromkeys(names, None)


def _linked(folder: Path) -> dict[str, str | None]:
    """Symbolic links; `loop` leads back to its own folder."""
    render(folder / "linked_to.avi")
    (folder / "link.avi").symlink_to("linked_to.avi")
    (folder / "dangling.avi").symlink_to("nowhere.avi")
    (folder.parent / CLASSES[1] / "loop").symlink_to(".", target_is_directory=True)
    return {"linked_to.avi": None, "link.avi": None, "dangling.avi": "missing"}


def _half(data: bytearray) -> bytearray:
    return data[: len(data) // 2]


def _filled(data: bytearray, where: float, length: int) -> bytearray:
    """Zero a sector, as a bad disk does."""
    start = int(where * len(data))
    data[start : start + length] = bytes(length)
    return data


def _flipped(data: bytearray, mark: bytes) -> bytearray:
    """Flip the bits behind the tenth mark of a frame's header, and of the mark."""
    at = 0
    for _ in range(10):
        at = data.index(mark, at + 1)
    for offset in range(len(mark) + 8):
        data[at + offset] ^= 0xFF
    return data


def _turned(data: bytearray) -> bytearray:
    """Write the matrix of a phone held upright into an MP4 track's header."""
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    return data


def _shown(data: bytearray) -> bytearray:
    """Shorten an MP4 file's edit list to 3/8 of its duration."""
    at = data.index(b"elst") + 12
    (duration,) = struct.unpack_from(">I", data, at)
    struct.pack_into(">I", data, at, duration * 3 // 8)
    return data


def _sized(data: bytearray, side: int) -> bytearray:
    """Declare square frames of a side in both headers of an AVI file."""
    main, stream = data.index(b"avih") + 8, data.index(b"strf") + 8
    data[main + 32 : main + 40] = struct.pack("<II", side, side)
    data[stream + 4 : stream + 12] = struct.pack("<ii", side, side)
    return data


def _billion(data: bytearray) -> bytearray:
    """Declare 10^9 frames in both headers of an AVI file."""
    main, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
    data[main + 16 : main + 20] = struct.pack("<I", 10**9)
    data[stream + 32 : stream + 36] = struct.pack("<I", 10**9)
    return data


def _two_sizes(path: Path) -> None:
    """Motion JPEG whose later frames are larger, in one stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p"
        for image in pictures(12, SIZE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
        larger = av.CodecContext.create("mjpeg", "w")
        larger.width, larger.height, larger.pix_fmt = 96, 48, "yuvj420p"
        larger.time_base = stream.time_base
        for index, image in enumerate(pictures(12, (96, 48)), 12):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts = index
            for packet in larger.encode(frame):
                packet.stream = stream
                packet.dts = packet.pts
                container.mux(packet)


def _tone(path: Path, codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        wave = (8000 * np.sin(np.arange(8000) / 3)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[np.newaxis], "s16", "mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _cover(picture: bytes) -> bytes:
    """An ID3 tag with a cover picture, to stand before an MP3 file."""
    body = b"\0image/jpeg\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = [len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)]
    return b"ID3\x03\0\0" + bytes(size) + frame
