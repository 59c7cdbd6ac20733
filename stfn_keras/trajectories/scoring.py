"""The test videos of a split scored by hand-crafted features.

    found = score_split(Path("data/ucf101"), Path("UCF-101"), Path("runs/mifs"), 1, ...)
    found["video_top1"]

OUT holds `config.json`, `ledger.csv` with the videos that could not be used, and
`report/` as an evaluation writes it, so that OUT can be fused and compared like a run.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import stfn_keras
from stfn_keras.data.ledger import Rejected, write_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.report import check_report_folder, write_report
from stfn_keras.evaluation.scores import Scores, shown_ids
from stfn_keras.extras import require_sklearn
from stfn_keras.files import read_json, shown, write_json
from stfn_keras.trajectories.cache import DescriptorCache
from stfn_keras.trajectories.classifier import decision_values
from stfn_keras.trajectories.encoding import draw, encode
from stfn_keras.trajectories.extraction import extract
from stfn_keras.trajectories.extractor import dimensions
from stfn_keras.trajectories.fisher import fit_codebook
from stfn_keras.trajectories.settings import EncodingConfig, ExtractionConfig
from stfn_keras.trajectories.videos import SourceVideo, find_videos, of_role
from stfn_keras.video.limits import DEFAULT_DECODING, DecodingConfig

MARK = "stfn_keras trajectories"
FOLDERS = {"e": ("report", "test"), "v": ("report-validation", "validation")}


def score_split(
    data: Path,
    folder: Path,
    out: Path,
    split: int,
    extraction: ExtractionConfig,
    encoding: EncodingConfig,
    cache: Path | None = None,
    workers: int = 1,
    decoding: DecodingConfig = DEFAULT_DECODING,
) -> dict[str, Any]:
    """Extract what is missing, train on the training videos, score the others.

    Args:
        data: A dataset made by `python -m data_prep`.
        folder: Of the videos that it was made of.
        out: Of the results; validation videos get a report of their own.
        split: From 1.
        extraction: What is extracted.
        encoding: How it is encoded and classified.
        cache: Of descriptors, for all splits; `trajectories` beside `out` if None.
        workers: Processes at once.
        decoding: Limits, and what becomes of damage.

    Returns:
        The content of the test report's `metrics.json`.

    Raises:
        UserError: Bad input, a test or validation video that cannot be used (each
            must be scored once), or no scikit-learn. Training videos that cannot be
            used are left out and listed.
    """
    require_sklearn("the hand-crafted features")
    _check_out(out)
    videos = find_videos(data, folder)
    roles = {role: of_role(videos, split, role) for role in ("r", *FOLDERS)}
    for role in "re":
        if not roles[role]:
            what = "training" if role == "r" else "test"
            raise UserError(f"split {split} of {data} must have {what} videos: none")
    store = DescriptorCache(
        cache or out.absolute().parent / "trajectories", extraction, decoding
    )
    asked = [video for role in roles.values() for video in role]
    rejected = extract(asked, store, extraction, decoding, encoding.levels, workers)
    manifest = Manifest.load(data)
    settings = {
        "network": encoding.features,
        "split": str(split),
        "skips": ",".join(map(str, encoding.levels)),
        "data_digest": manifest.digest,
    }
    write_json(
        out / "config.json",
        {
            "kind": MARK,
            "version": stfn_keras.__version__,
            "data": {"path": str(data.absolute()), "digest": manifest.digest},
            "split": split,
            "extraction": store.settings,
            "encoding": dataclasses.asdict(encoding),
        },
    )
    write_ledger(out, rejected)
    _check_scored(rejected, [v for role in FOLDERS for v in roles[role]], out)
    lost = {video.path for video in rejected}
    trained = [video for video in roles["r"] if video.id not in lost]
    found = _score(store, trained, roles, manifest.labels, extraction, encoding, out)
    reports = {
        role: write_report(
            out / FOLDERS[role][0],
            scores,
            {**settings, "scored": f"{FOLDERS[role][1]} videos"},
        )
        for role, scores in found.items()
    }
    return reports["e"]


def _score(
    cache: DescriptorCache,
    trained: Sequence[SourceVideo],
    roles: dict[str, tuple[SourceVideo, ...]],
    classes: tuple[str, ...],
    extraction: ExtractionConfig,
    encoding: EncodingConfig,
    out: Path,
) -> dict[str, Scores]:
    """Decision values of the test and validation videos, by role."""
    skips = encoding.levels
    sample = draw(cache, trained, skips, encoding.sample, encoding.seed)
    edges = np.cumsum(list(dimensions(extraction.length).values()))[:-1].tolist()
    codebook = fit_codebook(
        sample, edges, encoding.clusters, encoding.seed, encoding.iterations
    )
    labels = np.array([video.label for video in trained])
    scores = {}
    work = out / "fisher"
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    work.mkdir()
    try:
        known = encode(cache, codebook, trained, skips, work / "r.npy")
        for role in FOLDERS:
            if not roles[role]:
                continue
            others = encode(cache, codebook, roles[role], skips, work / f"{role}.npy")
            scores[role] = Scores(
                shown_ids(video.key for video in roles[role]),
                np.array([video.label for video in roles[role]]),
                decision_values(known, labels, others, classes, encoding.cost),
                np.array(classes),
            )
    finally:
        shutil.rmtree(work)
    return scores


def _check_out(out: Path) -> None:
    """Refuse a folder with another kind of results."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {out}")
    for name, _ in FOLDERS.values():
        check_report_folder(out / name)
    config = out / "config.json"
    if config.is_file():
        if read_json(config, "results of ours").get("kind") == MARK:
            return
    elif not out.exists() or not any(out.iterdir()):
        return
    raise UserError(
        f"--out must be new or hold results of this command. Received: {out}, which "
        "holds something else"
    )


def _check_scored(
    rejected: Sequence[Rejected], needed: Sequence[SourceVideo], out: Path
) -> None:
    lost = {video.path: video.reason for video in rejected}
    if missing := [video for video in needed if video.id in lost]:
        first, more = missing[0], len(missing) - 1
        raise UserError(
            f"every test video must be scored once. {shown(first.id)} cannot be used "
            f"({lost[first.id]}){f', nor {more} more' if more else ''}: "
            f"{out / 'ledger.csv'} names what is lost; put the videos that the dataset "
            "was made of into --videos, or prepare a dataset without them"
        )
