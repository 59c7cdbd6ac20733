"""TSN's way of reading, written for the benchmark: a folder of JPEGs a video, and PIL.

    write_folders(source, folder, videos=60)
    for streams in Reader(folder, segments=7, pairs=5, seed=0).videos():
        ...  # {"rgb": uint8 (T, 224, 224, 3), "flow": uint8 (T, 224, 224, 2L)}
        scaled(streams)  # what TSN's loader hands to its network

As TSN's loader does it (T: arXiv:1608.00859): every image is a file, flow is a
grayscale file for u and for v of each pair, a random crop of several scales is resized
to 224 pixels with bilinear filtering, images are mirrored half of the time with u
inverted. Only NumPy and pillow are used, so that nothing of this project's own helps.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIZE = 224
SCALES = (1.0, 0.875, 0.75, 0.66)
QUALITY = {"rgb": 90, "flow": 95}
MEANS = {
    "rgb": np.float32([104, 117, 128]).reshape(1, 3, 1, 1),
    "flow": np.float32(128),
}


def write_video(
    folder: Path, frames: np.ndarray, codes: np.ndarray, segments: int
) -> None:
    """Write the stored snippets of one video as files.

    Args:
        folder: A new folder.
        frames: uint8 (K, H, W, 3).
        codes: uint8 (K, H, W, 2L), channels u1, v1, u2, v2, ...
        segments: Not used by the files; K must be at least as many.
    """
    if len(frames) < segments:
        raise ValueError(f"{segments} segments need as many snippets: {len(frames)}")
    folder.mkdir(parents=True)
    for number, (frame, code) in enumerate(zip(frames, codes, strict=True)):
        Image.fromarray(frame).save(
            folder / f"img_{number:05d}.jpg", quality=QUALITY["rgb"]
        )
        for channel in range(code.shape[-1]):
            name = f"flow_{'xy'[channel % 2]}_{number:05d}_{channel // 2}.jpg"
            image = Image.fromarray(np.ascontiguousarray(code[..., channel]))
            image.save(folder / name, quality=QUALITY["flow"])


def scaled(streams: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Float32, channels first, less the mean: the end of TSN's loader, on the CPU.

    Here that is part of the network (`stfn_keras.models.preprocessing`).
    """
    found = {}
    for stream, images in streams.items():
        x = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
        x -= MEANS[stream]
        found[stream] = x
    return found


class Reader:
    """Reads random snippets of one video after another, forever."""

    def __init__(self, folder: Path, segments: int, pairs: int, seed: int = 0) -> None:
        self.folders = sorted(path for path in folder.iterdir() if path.is_dir())
        self.segments, self.pairs = segments, pairs
        self.draws = np.random.default_rng(seed)

    def videos(self) -> Iterator[dict[str, np.ndarray]]:
        """Both streams of each video, in a random order, again and again."""
        for _ in itertools.count():
            for index in self.draws.permutation(len(self.folders)):
                yield self.video(self.folders[index])

    def video(self, folder: Path) -> dict[str, np.ndarray]:
        """Draw a snippet in each segment, one crop and one mirror image for all."""
        stored = len(list(folder.glob("img_*.jpg")))
        bounds = np.arange(self.segments + 1) * stored // self.segments
        snippets = self.draws.integers(bounds[:-1], bounds[1:])
        mirrored = self.draws.random() < 0.5
        frames = [Image.open(folder / f"img_{n:05d}.jpg").convert("RGB")
                  for n in snippets]  # fmt: skip
        box = self.box(*frames[0].size)
        rgb = [np.asarray(self.view(frame, box, mirrored)) for frame in frames]
        flow = [self.flow(folder, n, box, mirrored) for n in snippets]
        return {"rgb": np.stack(rgb), "flow": np.stack(flow)}

    def flow(self, folder: Path, number: int, box: tuple, mirrored: bool) -> np.ndarray:
        """The flow of one snippet, uint8 (224, 224, 2L)."""
        channels = []
        for pair in range(self.pairs):
            for axis in "xy":
                name = f"flow_{axis}_{number:05d}_{pair}.jpg"
                image = self.view(Image.open(folder / name).convert("L"), box, mirrored)
                if mirrored and axis == "x":
                    image = ImageOps.invert(image)
                channels.append(np.asarray(image))
        return np.stack(channels, -1)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """A crop of several scales at one of five positions."""
        short = min(width, height)
        sides = [int(short * scale) for scale in SCALES]
        across = int(self.draws.integers(len(sides)))
        down = int(np.clip(across + self.draws.integers(-1, 2), 0, len(sides) - 1))
        wide, high = sides[across], sides[down]
        free = width - wide, height - high
        x, y = ((0, 0), (free[0], 0), (0, free[1]), free, (free[0] // 2, free[1] // 2))[
            self.draws.integers(5)
        ]
        return x, y, x + wide, y + high

    def view(self, image: Image.Image, box: tuple, mirrored: bool) -> Image.Image:
        """Crop, resize and mirror one image."""
        image = image.crop(box).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        if mirrored:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image
