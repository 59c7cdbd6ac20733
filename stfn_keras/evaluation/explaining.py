"""Explain videos of a run's test split, or video files, into its report.

explain_videos(run, wrong_videos(report, 8), report=report)
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from stfn_keras.data.manifest import DEFAULT_VERIFY, VerifyConfig
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import Source, naming_damage
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import source_of
from stfn_keras.evaluation.explanation import Explainer, Explanation
from stfn_keras.evaluation.heat import Shown, draw_explanation
from stfn_keras.evaluation.named import named_videos
from stfn_keras.evaluation.report import add_heat_maps, check_report_folder
from stfn_keras.evaluation.scores import shown_ids
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.evaluation.strips import chosen_videos
from stfn_keras.files import read_json, write_json, write_text
from stfn_keras.serving.preparer import Preparer
from stfn_keras.training.finished import weights_digest
from stfn_keras.training.run import Run
from stfn_keras.training.stages import input_sizes
from stfn_keras.video.centre import centre_view

PREDICTED, LABEL = "predicted", "label"
SOME_LABELS = 10  # of a message


@dataclasses.dataclass(frozen=True)
class Video:
    """A video to explain.

    Attributes:
        name: Its id, or the path of its file.
        title: As pictures and the page name it: its id, or its file's name, since
            where a file lies is nobody else's business.
        label: Its class, a place in the run's labels; None for a file.
        views: `rgb` and `flow`, uint8 (T, H, W, C).
    """

    name: str
    title: str
    label: int | None
    views: dict[str, np.ndarray]


def wrong_videos(report: Path, run: Run, count: int) -> list[str]:
    """The ids of the surest mistakes in a report, surest first.

    Raises:
        UserError: There is no report, or it is of other weights.
    """
    rows = report / "predictions.csv"
    if not rows.is_file():
        raise UserError(
            f"the wrong videos are read from a report, and {report} holds none: run "
            "evaluate.py first, or name the videos to explain"
        )
    _check_weights(report, run)
    table = pd.read_csv(rows, dtype={"video_id": str})
    wrong = table[~table["right"]].sort_values("score", ascending=False, kind="stable")
    return [str(name) for name in wrong["video_id"][:count]]


def explain_videos(
    run: Run,
    names: Sequence[str],
    report: Path,
    of: str = PREDICTED,
    data: Path | None = None,
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> dict[str, pd.DataFrame]:
    """Draw heat maps and contributions of some videos into `report/heat`.

    Args:
        run: A finished run.
        names: Ids of test videos or their base names, or video files.
        report: Its report, whose page shows the pictures; without a page they are
            only written.
        of: The class that is explained: `predicted`, `label`, or a class's name.
        data: Where the data lie now, if not where the run found them.
        verify: How the test shards are checked first.

    Returns:
        By title, each segment's contributions, which lie beside the pictures as CSV;
        videos of the data first, in the order of their names, then files.

    Raises:
        UserError: A video or a class is not there, a video has no label, or a file
            cannot be used.
    """
    if of not in (PREDICTED, LABEL, *run.labels):
        more = ", ..." if len(run.labels) > SOME_LABELS else ""
        raise UserError(
            f"--of must be predicted, label or a class of the run "
            f"({', '.join(run.labels[:SOME_LABELS])}{more}). Received: {of}"
        )
    if (report / "index.html").is_file():
        _check_weights(report, run)
    folder, manifest = run.manifest(data)
    source = source_of(run, folder, manifest, "e", {})
    ids, files = named_videos(source, folder, names)
    if of == LABEL and files:
        raise UserError(
            f"--of=label needs videos of the run's data, whose labels are known. "
            f"Received: the file {files[0]}; name the class, or use --of=predicted"
        )
    network = trained_network(run)
    source = dataclasses.replace(source, sizes=input_sizes(network))
    manifest.verify(folder, verify.full, run.training.split, "e")
    explainer = Explainer(network, run.model)
    tables: list[tuple[str, str, pd.DataFrame]] = []
    (report / "heat").mkdir(parents=True, exist_ok=True)
    with naming_damage(folder, manifest):
        videos = _videos(run, source, folder, ids, files)
        for video in tqdm(
            videos, total=len(ids) + len(files), desc="explaining", unit="video",
            dynamic_ncols=True,
        ):  # fmt: skip
            found = explainer.explain(video.views, _target(run, video, of))
            about = _caption(run.labels, video.label, found)
            caption = f"{video.title}: {about}"
            stem = file_stem(f"{video.title}_as_{run.labels[found.target]}", video.name)
            path = report / "heat" / stem
            table = pd.DataFrame(found.contributions)
            table.insert(0, "segment", range(1, len(table) + 1))
            write_text(path.with_name(f"{stem}.csv"), table.to_csv(index=False))
            said = {"caption": caption, "score": found.highest}
            write_json(path.with_name(f"{stem}.json"), said)
            draw_explanation(Shown(caption, video.views, found), path)
            tables.append((video.name, f"{video.name}: {about}", table))
    if (report / "index.html").is_file():
        add_heat_maps(report)
    places = {name: place for place, name in enumerate(ids)}
    tables.sort(key=lambda row: places.get(row[0], len(ids)))
    return {title: table for _, title, table in tables}


def file_stem(name: str, whole: str = "") -> str:
    """A name for files: the same where it can be one, else unlike any other's.

    Args:
        name: What it says.
        whole: What tells it from others of this name, if that is not all in it.
    """
    stem = re.sub(r"[^\w.=+-]+", "_", name)
    if stem == name and name.startswith(whole):
        return name
    told = name if name.startswith(whole) else f"{whole} {name}"
    return f"{stem}-{hashlib.sha256(told.encode()).hexdigest()[:6]}"


def _caption(labels: Sequence[str], label: int | None, found: Explanation) -> str:
    """What the network took a video for, what it is, and what was explained."""
    predicted = int(found.logits.argmax())
    text = f"taken for {labels[predicted]} ({found.highest:.2f})"
    if label is not None:
        text += ", rightly" if label == predicted else f", is {labels[label]}"
    if found.target != predicted:
        text += f"; why not {labels[found.target]} ({found.score:.2f})"
    return text


def _check_weights(report: Path, run: Run) -> None:
    """Refuse a report of another network: its page would show this one's maps."""
    check_report_folder(report)
    said = read_json(report / "metrics.json", "a report").get("weights_digest")
    if said != weights_digest(run):
        raise UserError(
            f"the report {report} is of other weights than the run's: run evaluate.py "
            "again, or give another --report"
        )


def _target(run: Run, video: Video, of: str) -> int | None:
    if of == PREDICTED:
        return None
    if of != LABEL:
        return run.labels.index(of)
    return video.label


def _videos(
    run: Run, source: Source, folder: Path, ids: Sequence[str], files: Sequence[str]
) -> Iterator[Video]:
    """Videos of the data, in the order of their shards, and files after them."""
    segments = run.model.segments
    chosen = chosen_videos(source, folder, ids)
    if ids:
        batches = view_batches(chosen, segments=segments, samplings=1, crops=1, batch=1)
        for inputs, about in batches:
            (name,) = shown_ids([about["id"].numpy()[0]])
            views = {stream: seen.numpy()[0] for stream, seen in inputs.items()}
            yield Video(str(name), str(name), int(about["label"][0]), views)
    for name in files:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        title = PurePath(shown).name
        yield Video(shown, title, None, _file_views(run, source.sizes, Path(name)))


def _file_views(
    run: Run, sizes: Mapping[str, int], path: Path
) -> dict[str, np.ndarray]:
    """A video file as the network sees it, prepared as the run's data were."""
    field = {run.flow: run.preprocessing["flow"][run.flow]}
    preparer = Preparer(
        {
            "labels": run.labels,
            "model": dataclasses.asdict(run.model),
            "flow": run.flow,
            "preprocessing": {**run.preprocessing, "flow": field},
        }
    )
    encoded = preparer.encoded(preparer.prepare(path))
    tensors = {name: tf.constant(value) for name, value in encoded.items()}
    views = centre_view(tensors, sizes, preparer.extent)
    return {stream: seen.numpy() for stream, seen in views.items()}
