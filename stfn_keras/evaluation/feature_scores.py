"""Scores from cached features: the test videos pass through the towers once.

    features = cached_view_features(run, data, manifest, crops=1)
    scores = score_features(head, features, samplings=1)

The features are float32 and of the same views that `score_videos` takes from pixels,
so both give the same scores to float rounding. Networks that share their towers, as
in an ablation, are scored in seconds each.
"""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from absl import logging
from tqdm import tqdm

from stfn_keras.config import STREAMS
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.sampling import fixed_positions
from stfn_keras.data.source import Source, naming_damage, open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scores import Scores, check_finite, shown_ids
from stfn_keras.files import read_json, sha256, write_json, written_aside
from stfn_keras.training.features import pooled_features
from stfn_keras.training.run import Run
from stfn_keras.training.stages import tower_digests, tower_of, trained_towers
from stfn_keras.training.work import Work
from stfn_keras.video.extent import Extent

CODE_VERSION = 1  # raise it when what a cached feature means changes
VIEWS_PER_BATCH = 32
VIDEOS_PER_BATCH = 128


@dataclass(frozen=True)
class ViewFeatures:
    """Features of every stored snippet of some videos.

    Attributes:
        video_id: str (N,).
        label: int64 (N,), indices into `classes`.
        classes: Names of the classes.
        streams: By stream, float32 (N, K, crops, features), mapped from its file.
    """

    video_id: np.ndarray
    label: np.ndarray
    classes: tuple[str, ...]
    streams: dict[str, np.ndarray]


def cached_view_features(
    run: Run, data: Path, manifest: Manifest, crops: int = 1
) -> ViewFeatures:
    """The test videos' features of a run's own towers, computed unless they are there.

    They lie in `features/<key>/` of the run and take
    `videos x K x crops x features x 4` bytes a stream.

    Args:
        run: A run whose towers, both of them, are finished.
        data: Where its data lie.
        manifest: The data's.
        crops: Crops of each snippet; as in `view_batches`.

    Raises:
        UserError: A tower is not finished or is damaged, or the split has no test
            videos.
    """
    split = run.training.split
    work = Work(run, data, manifest, run)
    digests = tower_digests(work)
    extent = Extent.of(run.model)
    depends = [CODE_VERSION, "e", manifest.digest, split, run.flow, digests, crops,
               [extent.frames, extent.pairs]]  # fmt: skip
    key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]
    folder = run.folder / "features" / key
    if not _is_whole(folder):
        networks, _ = trained_towers(work)
        towers = {stream: tower_of(n, stream) for stream, n in networks.items()}
        sizes = {STREAMS[s].reads: int(t.input_shape[1]) for s, t in towers.items()}
        source = open_source(data, manifest, split, "e", run.flow, sizes, extent)
        with naming_damage(data, manifest):
            _compute(towers, source, folder, crops)
    with np.load(folder / "videos.npz", allow_pickle=False) as videos:
        return ViewFeatures(
            videos["video_id"],
            videos["label"],
            manifest.labels,
            {s: np.load(folder / f"{s}.npy", mmap_mode="r") for s in run.model.streams},
        )


def _is_whole(folder: Path) -> bool:
    """Whether cached features are there as they were written; damage is logged."""
    if not (folder / "e.json").exists():
        return False
    digests = read_json(folder / "e.json", "a cache's digests")
    if all((folder / name).is_file() and sha256(folder / name) == digest
           for name, digest in digests.items()):  # fmt: skip
        return True
    logging.warning("the feature cache %s is damaged and is computed again", folder)
    return False


def _compute(
    towers: dict[str, keras.Model], source: Source, folder: Path, crops: int
) -> None:
    snippets = source.manifest.snippets
    per_video = snippets * crops
    batches = view_batches(
        source, segments=1, samplings=snippets, crops=crops, batch=VIEWS_PER_BATCH
    )
    ids: list[bytes] = []
    labels: list[int] = []
    with ExitStack() as stack:
        maps, flat = [], {}
        for stream, tower in towers.items():
            aside = stack.enter_context(written_aside(folder / f"{stream}.npy"))
            size = int(tower.output_shape[-1])
            array = np.lib.format.open_memmap(
                aside, "w+", np.float32, (source.videos, snippets, crops, size)
            )
            maps.append(array)
            flat[stream] = array.reshape(-1, size)  # (videos x K x crops, features)
        bar = stack.enter_context(
            tqdm(total=source.videos * per_video, desc="features of the test videos",
                 unit="view", dynamic_ncols=True)
        )  # fmt: skip
        for inputs, about in batches:
            seen, labels = len(ids), labels + about["label"].numpy().tolist()
            ids += about["id"].numpy().tolist()
            for stream, tower in towers.items():
                shown = inputs[STREAMS[stream].reads][:, 0].numpy()
                flat[stream][seen : len(ids)] = pooled_features(tower, shown)
            bar.update(len(ids) - seen)
        by_video = np.array(ids, object).reshape(-1, per_video)
        once = len(set(by_video[:, 0])) == source.videos
        if not once or (by_video != by_video[:, :1]).any():
            raise UserError(
                f"expected {source.videos} videos with {per_video} views each in the "
                "shards. Received: others: run `python -m data_prep verify` on the data"
            )
        for array in maps:
            array.flush()
    with written_aside(folder / "videos.npz") as aside:
        np.savez(
            aside,
            video_id=shown_ids(by_video[:, 0]),
            label=np.array(labels[::per_video], np.int64),
        )
    names = [*(f"{stream}.npy" for stream in towers), "videos.npz"]
    write_json(folder / "e.json", {name: sha256(folder / name) for name in names})


def score_features(
    head: keras.Model,
    features: ViewFeatures,
    *,
    samplings: int,
    shuffle: int | None = None,
) -> Scores:
    """Score every video: the mean of its views' logits.

    Args:
        head: From `<stream>_features`, float32 (batch, T, features), to logits.
        features: Of the videos; every crop is used.
        samplings: Samplings S of the segments per video.
        shuffle: Seed of a random order of each video's segments; None keeps theirs.

    Raises:
        UserError: The network gives no finite logits.
    """
    segments = int(next(iter(head.input.values())).shape[1])
    streams = [name.removesuffix("_features") for name in head.input]
    names = ["logits", *(n for n in head.output if n.endswith("_logits"))]
    videos, snippets, crops = features.streams[streams[0]].shape[:3]
    order = np.tile(np.arange(segments), (videos, 1))  # (N, T)
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permuted(order, axis=1)
    positions = fixed_positions(snippets, segments, samplings)  # (S, T)
    sums = {name: np.zeros((videos, len(features.classes))) for name in names}
    for start in range(0, videos, VIDEOS_PER_BATCH):
        rows = slice(start, start + VIDEOS_PER_BATCH)
        grids = {s: np.asarray(features.streams[s][rows]) for s in streams}
        for sampling in positions:
            chosen = sampling[order[rows]]  # (batch, T)
            video = np.arange(len(chosen))[:, None]
            for crop in range(crops):
                found = head.predict_on_batch(
                    {f"{s}_features": grid[video, chosen, crop]
                     for s, grid in grids.items()}
                )  # fmt: skip
                check_finite(found["logits"])
                for name in names:
                    sums[name][rows] += found[name]
    views = len(positions) * crops
    means = {name: (total / views).astype(np.float32) for name, total in sums.items()}
    return Scores(
        video_id=features.video_id,
        label=features.label,
        logits=means.pop("logits"),
        classes=np.array(features.classes),
        streams=means,
    )
