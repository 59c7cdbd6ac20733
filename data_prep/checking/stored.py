"""Prepared videos read back from a dataset, whichever its layout.

for video in read_videos(folder, manifest, rows):
    video.frame(3)        # uint8 RGB, the frame that the fourth snippet starts with
    video.codes("dis", 3) # uint8 (L, height, width, 2)
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stfn_keras.data.index import Indexed
from stfn_keras.data.manifest import MEND, Manifest
from stfn_keras.data.records import RecordError, decode_example, read_records
from stfn_keras.data.remote import present
from stfn_keras.errors import UserError
from stfn_keras.video import image


@dataclass(frozen=True)
class StoredVideo:
    """A video of a dataset.

    Attributes:
        row: Its row in the index.
        manifest: Of the dataset.
        example: Its record's features.
    """

    row: Indexed
    manifest: Manifest
    example: dict[str, list]

    @property
    def positions(self) -> list[int]:
        """The first frame of each of its K snippets.

        Raises:
            UserError: The record has none.
        """
        with self._naming():
            return self.example["snippet/frame"]

    def frame(self, snippet: int) -> np.ndarray:
        """A snippet's first frame, uint8 RGB (height, width, 3).

        Raises:
            UserError: It is missing, no image, or of another size than in the index.
        """
        with self._naming():
            if self.manifest.layout == "dense":
                data = self.example["frame/rgb"][self.positions[snippet]]
            else:
                first = snippet * self.manifest.rgb_per_snippet
                data = self.example["snippet/rgb"][first]
            frame = image.decode_rgb(data)
            self._check("a frame", frame, (self.row.height, self.row.width, 3))
            return frame

    def codes(self, field: str, snippet: int) -> np.ndarray:
        """A snippet's coded flow, uint8 (L, height, width, 2), 1-255.

        Raises:
            UserError: It is missing, no image, or of another size than in the index.
        """
        height, width = self.row.height, self.row.width
        pairs = self.manifest.flow[field]["pairs"]
        with self._naming():
            if self.manifest.layout == "dense":
                first = self.positions[snippet]
                tiles = self.example[f"frame/flow/{field}"][first : first + pairs]
            else:
                tiles = [self.example[f"flow/{field}"][snippet]]
            decoded = [image.decode_flow(tile, height, width) for tile in tiles]
            codes = np.concatenate(decoded)
            self._check(f"flow {field}", codes, (pairs, height, width, 2))
            return codes

    def _check(self, what: str, pixels: np.ndarray, shape: tuple[int, ...]) -> None:
        if pixels.shape != shape:
            raise ValueError(f"expected {what} of {shape}. Received: {pixels.shape}")

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn what a record that contradicts its tables raises into one line."""
        try:
            yield
        except (
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            cv2.error,
        ) as error:
            said = " ".join(str(error).split())
            if isinstance(error, KeyError):
                said = f"its record has no {said}"
            raise UserError(
                f"{self.row.shard}: record {self.row.record}: {self.row.path!r}: "
                f"{said}; `python -m data_prep verify` names every fault"
            ) from error


def read_videos(
    folder: Path, manifest: Manifest, rows: Iterable[Indexed]
) -> Iterator[StoredVideo]:
    """Read videos by their rows of the index, in the order of shards and records.

    Each shard is read once, up to the last record wanted.

    Raises:
        UserError: A shard is missing or damaged, or the index does not fit it.
    """
    ordered = sorted(rows, key=lambda row: (row.shard, row.record))
    for shard, group in itertools.groupby(ordered, key=lambda row: row.shard):
        wanted = {row.record: row for row in group}
        try:
            with present(folder, shard) as path:
                for number, record in enumerate(read_records(path)):
                    if number in wanted:
                        example = decode_example(record)
                        yield StoredVideo(wanted.pop(number), manifest, example)
                    if not wanted:
                        break
            if wanted:
                raise RecordError(f"it has no record {min(wanted)}")
        except (OSError, RecordError) as error:
            raise UserError(f"{folder / shard}: {error}; {MEND}") from error
