"""The images of a video that another program extracted, by kind and number.

listing = list_images(Path("rawframes/Walk/clip_1"), DecodingConfig())
listing.images[1]  # the first frame's file
is_frame_folder(Path("rawframes/Walk/clip_1"))  # True
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from stfn_keras.video.container import VideoError
from stfn_keras.video.limits import DecodingConfig

_NAME = re.compile(r"(img_|image_|flow_x_|flow_y_|x_|y_|)(\d+)\.(jpe?g|png)", re.I)
_KINDS = {"flow_x_": "u", "x_": "u", "flow_y_": "v", "y_": "v"}
# What is a video in a folder; a file that is named itself may end in anything.
VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogg "
    ".ogv .ts .vob .webm .wmv".split()
)
_FOLDERS = {"flow_x": "u", "flow_y": "v"}


@dataclass
class Listing:
    """A folder's images by kind and number."""

    images: dict[int, Path] = field(default_factory=dict)
    u: dict[int, Path] = field(default_factory=dict)
    v: dict[int, Path] = field(default_factory=dict)
    bytes: int = 0

    @property
    def declared(self) -> int:
        """Frames that the numbers promise."""
        return max(self.images) - min(self.images) + 1 if self.images else 0

    def add(self, kind: str, number: int, entry: os.DirEntry) -> None:
        """Take an image in; VideoError where it is empty or its number is taken."""
        files: dict[int, Path] = getattr(self, kind)
        if number in files:
            raise VideoError("damaged", self.declared)
        files[number] = Path(entry.path)
        size = entry.stat().st_size
        if not size:
            raise VideoError("damaged", self.declared)
        self.bytes += size

    def check(self, decoding: DecodingConfig, with_flow: bool) -> None:
        """Raise VideoError unless frames and flow go together, within the limits."""
        declared = self.declared
        if not self.images:
            raise VideoError("no frames")
        if len(self.images) > decoding.max_frames or self.bytes > decoding.max_bytes:
            raise VideoError("too large", declared)
        whole = all(
            max(numbers) - min(numbers) + 1 == len(numbers)
            for numbers in (self.images, self.u)
            if numbers
        )
        late = len(self.u) - len(self.images)
        if with_flow:
            whole &= self.u.keys() == self.v.keys() and late in (-1, 0)
        if not whole:
            raise VideoError("damaged", declared)


def list_images(
    folder: Path, decoding: DecodingConfig, with_flow: bool = True
) -> Listing:
    """Find the images of an extracted video and check that they go together.

    Args:
        folder: Of one video.
        decoding: Limits.
        with_flow: Whether flow images are wanted; otherwise they are passed over.

    Raises:
        VideoError: missing, unreadable container, no frames, too large, or damaged:
            numbers are missing or double, or u, v and frames do not go together.
    """
    listing = Listing()
    try:
        for name, kind in (("", "images"), *_FOLDERS.items()):
            if name and not (folder / name).is_dir():
                continue
            with os.scandir(folder / name) as entries:
                for entry in entries:
                    match = _NAME.fullmatch(entry.name)
                    if match and entry.is_file():
                        kind_here = _KINDS.get(match[1].lower(), kind)
                        if with_flow or kind_here == "images":
                            listing.add(kind_here, int(match[2]), entry)
    except (FileNotFoundError, ValueError):  # a null character is in no name
        raise VideoError("missing") from None
    except OSError as error:
        raise VideoError("unreadable container") from error
    listing.check(decoding, with_flow)
    return listing


def is_frame_folder(folder: Path) -> bool:
    """Whether a folder directly holds numbered frames of one extracted video.

    One numbered image is no video, and a folder with video files is one of videos,
    beside which numbered images are something else, such as their thumbnails.
    """
    numbers = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if os.path.splitext(entry.name)[1].lower() in VIDEO_SUFFIXES:
                return False
            match = _NAME.fullmatch(entry.name)
            if match is not None and match[1].lower() not in _KINDS:
                numbers.add(int(match[2]))
    return len(numbers) > 1
