"""What the report's page shows, a function for each of its sections."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stfn_keras.evaluation import mcnemar
from stfn_keras.evaluation.charts import confusion_chart, reliability_chart
from stfn_keras.evaluation.metrics import accuracies, confused_pairs, ranks
from stfn_keras.evaluation.page import (
    Number,
    Section,
    bar,
    cards,
    image,
    paragraph,
    sheet,
    table,
    whole,
)
from stfn_keras.evaluation.scores import Scores
from stfn_keras.files import read_json

PAIRS, VIDEOS_OF_PAIR = 6, 4  # of the contact sheets
WRONG_VIDEOS = 200  # listed; predictions.csv has all
FORMATS = "formats.json"  # in a report's folder: the exported formats
HEAT_MAPS = 20  # videos shown; each makes the page heavier
HEAT = (
    "Heat, dark to yellow, lies where a segment speaks most for the class that the "
    "network chose or was asked for, in what the RGB tower and the flow tower saw. "
    "Bars say what the class's logit would lose without a segment's RGB, its flow or "
    "both; under the animation they are those of both, the black one of the segment "
    "that is shown."
)
NAMES = {
    "video_top1": "top-1 of videos",
    "video_top5": "top-5 of videos",
    "mean_class_accuracy": "mean class accuracy",
    "view_top1": "top-1 of single views",
    "macro_f1": "mean F1 of the classes",
    "ece": "expected calibration error",
}


def summary(found: Mapping[str, float | int | str]) -> Section:
    """The figures to be seen first, with their intervals."""
    items = [(str(found["videos"]), "videos", "each counted once")]
    for name, what in NAMES.items():
        if name in found:
            note = ""
            if f"{name}_low" in found:
                low, high = (100 * float(found[f"{name}_{e}"]) for e in ("low", "high"))
                note = f"95 % interval {low:.1f} to {high:.1f} %"
            items.append((f"{100 * float(found[name]):.1f} %", what, note))
    text = paragraph(
        "Intervals: percentile bootstrap over the videos. They say what other test "
        "videos would change, not what another training would."
    )
    return Section("summary", "", cards(items) + text)


def settings(values: Mapping[str, str]) -> Section:
    """How the scores came about."""
    rows = [
        [name.replace("_", " "), f"{value[:12]}…" if "digest" in name else value]
        for name, value in values.items()
    ]
    return Section("settings", "Settings", table(["", ""], rows))


def streams(scores: Scores) -> Section:
    """The heads of the streams beside the whole network."""
    if not scores.streams:
        return Section("streams", "", "")
    right = ranks(scores.label, scores.logits) < 1
    rows: list[list[object]] = []
    for name, logits in {"together": scores.logits, **scores.streams}.items():
        found = accuracies(scores.label, logits)
        alone = ranks(scores.label, logits) < 1
        whole, only = mcnemar.discordant(right, alone)
        same = name == "together"
        rows.append(
            [
                name.removesuffix("_logits"),
                *(bar(value) for value in found.values()),
                "" if same else only,
                "" if same else whole,
                "" if same else mcnemar.exact(whole, only),
            ]
        )
    head = ["head", "top-1", "top-5", "mean class", "it alone", "not it", "p"]
    text = paragraph(
        "Behind fusion blocks each head has seen both streams. It alone: videos that "
        "the head gets right and the whole does not; not it: the other way round; p: "
        "of McNemar's exact test, near 0 where chance would hardly do that."
    )
    return Section("streams", "Streams", table(head, rows[1:] + rows[:1]) + text)


def confused(
    scores: Scores,
    rows: pd.DataFrame,
    strips: Callable[[Sequence[str]], Mapping[str, bytes]] | None,
) -> Section:
    """The most confused pairs, with frames of their surest mistakes.

    Args:
        scores: Of every video.
        rows: By `metrics.predictions`.
        strips: Gives JPEG strips of frames by video id; None for no pictures.
    """
    pairs = confused_pairs(scores)[:PAIRS]
    if pairs.empty:
        return Section("confused", "Most confused", paragraph("No video is wrong."))
    chosen = []
    for pair in pairs.to_dict("records"):
        of_pair = (rows["label"] == pair["label"]) & (
            rows["predicted"] == pair["predicted"]
        )
        wrong = rows[of_pair].sort_values("score", ascending=False, kind="stable")
        chosen.append((pair, wrong[:VIDEOS_OF_PAIR].to_dict("records")))
    ids = [video["video_id"] for _, videos in chosen for video in videos]
    frames = strips(ids) if strips else {}
    parts = [
        table(
            ["class", "taken for", "videos", "share of the class"],
            [
                [pair["label"], pair["predicted"], pair["videos"], bar(pair["share"])]
                for pair, _ in chosen
            ],
        )
    ]
    pictures = [
        image(
            frames[video["video_id"]],
            "jpeg",
            f"{video['label']} taken for {video['predicted']}, "
            f"{100 * video['score']:.0f} % sure: {video['video_id']}",
        )
        for _, videos in chosen
        for video in videos
        if video["video_id"] in frames
    ]
    if pictures:
        parts.append(sheet("\n".join(pictures)))
    return Section("confused", "Most confused", "\n".join(parts))


def matrix(counts: np.ndarray, classes: np.ndarray) -> Section:
    """The confusion matrix."""
    text = paragraph(
        "Rows are true classes, columns predicted ones; the stronger a field, the "
        "greater its share of the row. Point at a field for its names and count."
    )
    return Section(
        "matrix", "Confusion matrix", text + confusion_chart(counts, classes)
    )


def classes(found: pd.DataFrame) -> Section:
    """Recall, precision and F1 of each class, the worst recall first."""
    ordered = found.sort_values("recall", kind="stable").to_dict("records")
    shares = ("recall", "precision", "f1")
    rows = [[r["class"], r["videos"], *(bar(r[n]) for n in shares)] for r in ordered]
    head = ["class", "videos", "recall", "precision", "F1"]
    return Section("classes", "Classes, worst first", table(head, rows))


def calibration(bins: pd.DataFrame) -> Section:
    """Whether scores can be read as chances."""
    text = paragraph(
        "Of videos whose predicted class has a score of 0.8, 80 % should be right: the "
        "dashed line. Bars are the share that is right, dots stand at the mean score "
        "of their bin, below is the number of videos."
    )
    return Section("calibration", "Calibration", text + reliability_chart(bins))


def heat_files(folder: Path) -> list[Path]:
    """What lies in a report's folder of the heat maps: pictures and their tables."""
    kinds = (".png", ".gif", ".csv", ".json")
    return sorted(p for p in folder.glob("heat/*") if p.suffix in kinds)


def heat_maps(folder: Path) -> Section:
    """The heat maps in a report's folder; an empty place without any.

    A video's PNG and GIF have one stem; what a JSON file of that stem says of it,
    `caption` and `score`, stands above them, the surest first.
    """
    videos: dict[str, dict[str, Path]] = {}
    for path in heat_files(folder):
        videos.setdefault(path.stem, {})[path.suffix] = path
    found = []
    for stem, files in videos.items():
        if pictures := [files[kind] for kind in (".png", ".gif") if kind in files]:
            said = read_json(files[".json"], "a caption") if ".json" in files else {}
            found.append((said.get("score", 0), said.get("caption", stem), pictures))
    if not found:
        return Section("heat", "", "")
    found.sort(key=lambda video: -video[0])
    shown = "\n".join(
        whole([(p.read_bytes(), p.suffix[1:]) for p in pictures], str(caption))
        for _, caption, pictures in found[:HEAT_MAPS]
    )
    if (left := len(found) - HEAT_MAPS) > 0:
        shown += paragraph(f"Those of {left} more videos lie in heat/.")
    return Section("heat", "Heat maps", paragraph(HEAT) + shown)


def formats(folder: Path) -> Section:
    """The exported formats in a report's folder; an empty place without any."""
    path = folder / FORMATS
    if not path.is_file():
        return Section("formats", "", "")
    said = read_json(path, "the report's table of formats")
    found = said["formats"]
    columns = list(dict.fromkeys(head for row in found.values() for head in row))
    rows = [
        [name, *(_figure(row.get(column, "–")) for column in columns)]
        for name, row in found.items()
    ]
    shown = table(["format", *columns], rows)
    text = paragraph(said["about"]) if said.get("about") else ""
    return Section("formats", "Exported formats", text + shown)


def _figure(text: str) -> str:
    """A cell that stands to the right where it begins as a number, or is a dash."""
    return Number(text) if text[:1].isdigit() or text == "–" else text


def wrong(rows: pd.DataFrame) -> Section:
    """The wrong videos, surest first."""
    found = rows[~rows["right"]].sort_values("score", ascending=False, kind="stable")
    listed = found[["video_id", "label", "predicted", "score", "score_of_label"]]
    text = paragraph(
        f"{len(found)} of {len(rows)}, surest first"
        + (f"; the first {WRONG_VIDEOS}, predictions.csv has all" if
           len(found) > WRONG_VIDEOS else "")
    )  # fmt: skip
    head = ["video", "class", "predicted", "score", "score of the class"]
    shown = table(head, listed[:WRONG_VIDEOS].values.tolist()) if len(found) else ""
    return Section("wrong", "Wrong videos", text + shown)
