"""Predictions as files and as lines: JSON, a picture, CSV, WebVTT; text for people.

results = Results(Path("predictions/clip"), model, top=5)
results.write(prediction)  # clip.json, clip.png
for prediction in results.written(predictor.windows(video, 4.0, 2.0), 4.0, 2.0):
...  # at the end: clip.json, clip.csv, clip.vtt
"""

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json, written_aside
from stfn_keras.serving.predictor import Prediction
from stfn_keras.serving.sheet import draw_sheet

WINDOW_COLUMNS = ("start", "end", "rank", "label", "score")
COLUMNS = ("video", *WINDOW_COLUMNS)
FORMATS = ("text", "csv", "jsonl")
ENDINGS = (".json", ".png", ".csv", ".vtt", ".mp4")


class Results:
    """Where the results of one video go.

    Args:
        stem: Path of the files, without their endings.
        model: The version's folder.
        top: How many of the best classes are named.

    Raises:
        UserError: There are files that an earlier prediction did not make.
    """

    def __init__(self, stem: Path, model: Path, top: int) -> None:
        check_ours(stem)
        self._stem = stem
        self._model = model
        self._top = top

    def path(self, ending: str) -> Path:
        """The file that ends so."""
        return self._stem.with_name(self._stem.name + ending)

    def write(self, prediction: Prediction) -> Path:
        """Write JSON and picture of a whole video; gives the picture's path."""
        write_json(self.path(".json"), as_json(prediction, self._model, self._top))
        draw_sheet(prediction, self.path(".png"))
        return self.path(".png")

    def written(
        self, windows: Iterable[Prediction], length: float, stride: float
    ) -> Iterator[Prediction]:
        """Pass on windows, and write them while they come; whole or not at all.

        JSON holds the mean of all windows' scores, CSV the best classes of each
        window, WebVTT the best one from its start to the next window's.
        """
        total, count = np.zeros(()), 0
        last: Prediction | None = None
        with contextlib.ExitStack() as stack:
            table, subtitles = (
                stack.enter_context(
                    stack.enter_context(written_aside(self.path(ending))).open(
                        "w", encoding="utf-8", newline=""
                    )
                )
                for ending in (".csv", ".vtt")
            )
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(WINDOW_COLUMNS)
            subtitles.write("WEBVTT\n")
            for window in windows:
                rows.writerows(row[1:] for row in as_rows(window, self._top))
                if last:
                    subtitles.write(_cue(last, window.start))
                total, count, last = total + window.scores, count + 1, window
                yield window
            if last:
                subtitles.write(_cue(last, None))
        if last:
            mean = Prediction(
                last.video, last.labels, (total / count).astype(np.float32),
                last.prepared, last.flow,
            )  # fmt: skip
            found = as_json(mean, self._model, self._top)
            found["windows"] = {"length": length, "stride": stride, "count": count}
            write_json(self.path(".json"), found)


def as_line(prediction: Prediction, form: str, model: Path, top: int) -> str:
    """A prediction as it is printed: `text`, `csv` or `jsonl`."""
    if form == "jsonl":
        return json.dumps(as_json(prediction, model, top))
    if form == "csv":
        return csv_line(as_rows(prediction, top))
    best = prediction.top(top)
    if prediction.start is not None:
        texts = ", ".join(f"{label} {score:.4f}" for label, score in best)
        return f"  {prediction.start:8.2f} to {prediction.end:8.2f} s  {texts}"
    lines = [f"  {score:6.4f}  {label}" for label, score in best]
    return "\n".join([str(prediction.video), *lines])


def csv_line(rows: Iterable[Iterable]) -> str:
    """Rows as CSV, without the last line's end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")


def as_rows(prediction: Prediction, top: int) -> list[tuple]:
    """The best classes, a row each as in `COLUMNS`."""
    return [
        (
            prediction.video,
            _rounded(prediction.start),
            _rounded(prediction.end),
            rank,
            label,
            f"{score:.6f}",
        )
        for rank, (label, score) in enumerate(prediction.top(top), 1)
    ]


def as_json(prediction: Prediction, model: Path, top: int) -> dict:
    """A prediction as a JSON object; of a window with its times."""
    best = [{"label": label, "score": score} for label, score in prediction.top(top)]
    found: dict = {"video": str(prediction.video), "model": str(model)}
    if prediction.start is not None:
        found |= {"start": prediction.start, "end": prediction.end}
    scores = dict(zip(prediction.labels, prediction.scores.tolist(), strict=True))
    return {**found, "top": best, "scores": scores}


def check_ours(stem: Path) -> None:
    """Refuse to write over files that an earlier prediction did not make."""
    paths = [stem.with_name(stem.name + ending) for ending in ENDINGS]
    if paths[0].exists():
        ours = {"video", "model", "top"} <= set(read_json(paths[0], "a prediction"))
    else:
        ours = not any(path.exists() for path in paths)
    if not ours:
        raise UserError(
            f"--out holds files that are no predictions of ours: {stem}.*; choose "
            "another folder"
        )


def _rounded(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _cue(window: Prediction, following: float | None) -> str:
    """A window's WebVTT cue, from its start to the next one's or its own end."""
    start, end = window.start or 0.0, window.end or 0.0
    if following is not None:
        end = min(end, following)
    ((label, score),) = window.top(1)
    text = " ".join(label.split())
    for sign, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, code)
    return f"\n{_clock(start)} --> {_clock(end)}\n{text} {score:.2f}\n"


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return (
        f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    )
