"""Shared fixtures: small datasets, real data through STFN_REAL_DATA, parsed flags."""

import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from absl import flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
flags.FLAGS.mark_as_parsed()


def pytest_configure(config: pytest.Config) -> None:
    """Files are given to the workers in the order below, not by their size."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Several workers begin with the files of slow tests, so that all end together."""
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -counts[item.path], item.path))


@pytest.fixture
def no_pictures(monkeypatch) -> None:
    """Trainings draw nothing, for tests of what they compute."""
    from stfn_keras.training import history
    from stfn_keras.training.board import StageBoard

    monkeypatch.setattr(history, "draw", lambda *_: None)
    monkeypatch.setattr(StageBoard, "pictures", lambda *_: None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips and official lists; skips where there is none."""
    folder = os.environ.get("STFN_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set STFN_REAL_DATA to the folder with the real clips")
    return Path(folder)


SNIPPETS, PAIRS, HEIGHT, WIDTH = 7, 2, 36, 48


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A dataset of schema 1 without videos: two classes, three roles, 21 records.

    The classes differ in colour and in direction of motion, so that both streams
    can tell them apart.
    """
    from stfn_keras.data.index import Indexed, write_index
    from stfn_keras.data.manifest import Manifest, Shard
    from stfn_keras.data.records import RecordWriter, encode_example
    from stfn_keras.files import sha256
    from stfn_keras.video import image
    from stfn_keras.video.flow import get_preset

    preset = get_preset("dis")
    folder = tmp_path_factory.mktemp("dataset")
    draws = np.random.default_rng(0)
    shards, rows, number = [], [], 0
    for roles, videos in (("r", 8), ("r", 4), ("e", 5), ("v", 4)):
        name = f"small-{roles}-{len(shards):05d}-of-00004.tfrecord"
        with (folder / name).open("wb") as file:
            writer = RecordWriter(file)
            for record in range(videos):
                label = number % 2
                word, group = ("left", "right")[label], f"g{number // 4} {label}"
                colour = np.array([200, 60, 60] if label else [60, 60, 200])
                noise = draws.integers(-30, 30, (SNIPPETS, HEIGHT, WIDTH, 1))
                frames = np.clip(colour + noise, 0, 255).astype(np.uint8)
                codes = np.full((SNIPPETS, PAIRS, HEIGHT, WIDTH, 2), 128, np.uint8)
                codes[..., 0] = 150 if label else 106
                # The snippet's number, so that tests see which one was drawn.
                codes[..., 1] = 100 + 8 * np.arange(SNIPPETS)[:, None, None, None]
                writer.write(
                    encode_example(
                        {
                            "video/id": [f"clip {number}.avi".encode()],
                            "video/label": [label],
                            "video/label_text": [word.encode()],
                            "video/group": [group.encode()],
                            "video/roles": [roles.encode()],
                            "video/frames": [40],
                            "video/rate": [25.0],
                            "video/height": [HEIGHT],
                            "video/width": [WIDTH],
                            "snippet/frame": list(range(SNIPPETS)),
                            "snippet/rgb": [image.encode_rgb(f) for f in frames],
                            "flow/dis": [image.encode_flow(c) for c in codes],
                        }
                    )
                )
                rows.append(
                    Indexed(f"clip {number}.avi", word, group, roles, name, record, 40,
                            25.0, HEIGHT, WIDTH)
                )  # fmt: skip
                number += 1
        path = folder / name
        shards.append(Shard(name, roles, videos, path.stat().st_size, sha256(path)))
    write_index(folder, rows)
    Manifest(
        schema=1, name="small", protocol="csv", labels=("left", "right"),
        videos=number, absent=0, shards=tuple(shards),
        flow={"dis": {"preset": "dis", "version": preset.version,
                      "parameters": dict(preset.parameters),
                      "opencv": cv2.__version__, "bound": 20.0, "pairs": PAIRS}},
        layout="snippet", snippets=SNIPPETS, rgb_per_snippet=1, size="256", flip=True,
    ).save(folder)  # fmt: skip
    return folder


def small_model(**changes):
    """A network for the small dataset that trains in seconds."""
    from stfn_keras.config import ModelConfig

    settings = {"tower": "tiny", "rgb_size": 16, "flow_size": 16, "pairs": PAIRS,
                "segments": 3, "width": 4, "blocks": 1}  # fmt: skip
    return ModelConfig(**{**settings, **changes})


def small_training(**changes):
    """Stages of two short epochs each."""
    from stfn_keras.config import StageConfig, TowerStageConfig, TrainingConfig

    pixels = TowerStageConfig(
        epochs=2, batch=4, rate=1e-2, schedule="cosine", segments=2, scales=(1.0, 0.75)
    )
    settings = {"rgb_weights": "none", "rgb": pixels, "flow_stage": pixels,
                "fusion": StageConfig(epochs=2, batch=4, rate=1e-2)}  # fmt: skip
    return TrainingConfig(**{**settings, **changes})


@pytest.fixture(scope="session")
def trained(dataset, tmp_path_factory):
    """A finished STFN run on the small dataset."""
    from stfn_keras.training.train import train

    out = tmp_path_factory.mktemp("runs") / "stfn"
    return train(dataset, out, small_model(), small_training())


def _small_export(tmp_path_factory, network: str) -> Path:
    from small_export import write_export

    return write_export(tmp_path_factory.mktemp("models") / network / "1", network)


@pytest.fixture(scope="session")
def small_stfn(tmp_path_factory) -> Path:
    """A version of an exported STFN of random weights."""
    return _small_export(tmp_path_factory, "stfn")


@pytest.fixture(scope="session")
def small_spatial(tmp_path_factory) -> Path:
    """The same of a network that reads RGB alone."""
    return _small_export(tmp_path_factory, "spatial")


@pytest.fixture(scope="session")
def small_temporal(tmp_path_factory) -> Path:
    """The same of a network that reads flow alone."""
    return _small_export(tmp_path_factory, "temporal")


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory) -> Path:
    """A video of 3.6 seconds that moves and changes its colour."""
    from small_clips import write_clip

    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mkv", 90)
