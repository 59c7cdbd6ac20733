"""A small video folder, and ways to prepare and read it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.jobs.isolated import ProcessLimits
from data_prep.jobs.item import prepare_item
from data_prep.plan import Configs, DatasetOptions
from data_prep.prepare import Summary, prepare_dataset
from stfn_keras.config import PreparationConfig
from stfn_keras.data.records import decode_example, read_records
from stfn_keras.video.limits import DecodingConfig


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """Two classes of five groups, one clip cut in half, one file that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 2)
    for label in ("Left", "Up"):
        (folder / label).mkdir()
        for group in range(5):
            path = folder / label / f"v_{label}_g{group:02d}_c01.avi"
            code = cv2.VideoWriter.fourcc(*"MJPG")
            writer = cv2.VideoWriter(str(path), code, 25, (48, 32))
            for index in range(6):
                shift = (-index, 0) if label == "Left" else (0, -index)
                frame = np.roll(noise, shift[::-1], (0, 1))[:32, group : group + 48]
                writer.write(np.ascontiguousarray(frame))
            writer.release()
    cut = folder / "Up" / "v_Up_g04_c01.avi"
    data = cut.read_bytes()
    cut.write_bytes(data[: (data.index(b"movi") + data.index(b"idx1")) // 2])
    (folder / "notes.txt").write_text("not of any class")
    return folder


@pytest.fixture(scope="session")
def prepare(clips) -> Callable[..., Summary]:
    """A function that prepares the clips, with options or settings of one's own."""

    def run(out: Path | str, prepare=prepare_item, **changes) -> Summary:
        parts = []
        for cls, settings in (
            (PreparationConfig, {"snippets": 3, "pairs": 2}),
            (DecodingConfig, {}),
            (ProcessLimits, {}),
        ):
            names = [field.name for field in dataclasses.fields(cls)]
            chosen = {key: changes.pop(key) for key in names if key in changes}
            parts.append(cls(**{**settings, **chosen}))
        options = {
            "out": str(out),
            "name": "tiny",
            "shard_videos": 4,
            "workers": 1,
        }
        if "frames" not in changes:
            options["videos"] = str(clips)
        options = DatasetOptions(**{**options, **changes})
        return prepare_dataset(options, Configs(*parts), prepare=prepare)

    return run


@pytest.fixture(scope="session")
def dataset(tmp_path_factory, prepare) -> Path:
    """A finished dataset, for reading only."""
    out = tmp_path_factory.mktemp("data") / "tiny"
    prepare(out)
    return out


@pytest.fixture(scope="session")
def read_all() -> Callable[[Path], list[dict[str, list]]]:
    """A function that decodes every record of a dataset."""

    def read(folder: Path) -> list[dict[str, list]]:
        files = sorted(folder.glob("*.tfrecord"))
        return [decode_example(r) for file in files for r in read_records(file)]

    return read
