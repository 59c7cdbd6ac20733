"""Descriptors on disk: a file for each video and frame skip, whole or absent.

    cache = DescriptorCache(Path("runs/trajectories"), ExtractionConfig())
    cache.save(video, 0, descriptors)
    cache.load(video, 0)   # float16 (n, 426), mapped from the disk

All that was extracted with the same settings lies in one folder, named by their
digest, so that every split, iDT and MIFS share it and other settings never mix in.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock, Timeout

from stfn_keras.errors import UserError
from stfn_keras.files import shown, write_json, written_aside
from stfn_keras.trajectories.extractor import dimensions
from stfn_keras.trajectories.settings import ExtractionConfig
from stfn_keras.trajectories.videos import SourceVideo
from stfn_keras.video.camera import CAMERA
from stfn_keras.video.flow import get_preset
from stfn_keras.video.limits import DecodingConfig

VERSION = 1  # raised whenever the same video gives other descriptors


class DescriptorCache:
    """The descriptors of one way of extraction.

    Args:
        folder: Of all ways.
        config: This one.
        decoding: Limits, and what becomes of damage.
    """

    def __init__(
        self,
        folder: Path,
        config: ExtractionConfig,
        decoding: DecodingConfig,
    ) -> None:
        preset = get_preset(config.flow)
        self.settings = {
            "version": VERSION,
            **dataclasses.asdict(config),
            "on_damaged": decoding.on_damaged,
            "min_fraction": decoding.min_fraction,
            "flow_version": preset.version,
            "flow_parameters": dict(preset.parameters),
            "camera_parameters": dict(CAMERA) if config.camera else None,
            "opencv": cv2.__version__,
        }
        text = json.dumps(self.settings, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._width = sum(dimensions(config.length).values())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep a second extraction out of it.

        Raises:
            UserError: Another one works in it, or it cannot be written.
        """
        write_json(self.folder / "settings.json", self.settings)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"--cache must be free. Another extraction works in {self.folder}: "
                "wait for it, or stop it"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def path(self, video: SourceVideo, skip: int) -> Path:
        """Where descriptors are kept."""
        return self.folder / f"skip{skip}" / f"{video.digest}.npy"

    def missing(self, video: SourceVideo, skips: tuple[int, ...]) -> tuple[int, ...]:
        """The skips whose descriptors are not there."""
        return tuple(skip for skip in skips if not self.path(video, skip).is_file())

    def save(self, video: SourceVideo, skip: int, descriptors: np.ndarray) -> None:
        """Write float16 (n, 426), whole or not at all."""
        with written_aside(self.path(video, skip)) as aside:
            np.save(aside, descriptors)

    def load(self, video: SourceVideo, skip: int) -> np.ndarray:
        """Open a video's descriptors: float16 (n, 426).

        Raises:
            UserError: The file is missing or damaged.
        """
        path = self.path(video, skip)
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"expected descriptors of {shown(video.id)}: {path} cannot be "
                f"read ({error}); delete it, and the same command extracts them again"
            ) from error
        if (
            found.dtype != np.float16
            or found.ndim != 2
            or found.shape[1] != self._width
        ):
            raise UserError(
                f"{path} must hold float16 of {self._width} columns. Received: "
                f"{found.dtype} of shape {found.shape}; delete it, and the same "
                "command extracts it again"
            )
        return found
