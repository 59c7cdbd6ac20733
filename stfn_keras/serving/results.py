"""Predictions as files and as lines: JSON, a picture, CSV, WebVTT; text for people.

claim = Claim(Path("predictions/clip"), endings(window=False, draw=False))
results = Results(claim, model, top=5)
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
from stfn_keras.files import shown, write_json, written_aside
from stfn_keras.serving.claims import FILES, JSON, PICTURE, SUBTITLES, TABLE, Claim
from stfn_keras.serving.predictor import Prediction
from stfn_keras.serving.sheet import draw_sheet

WINDOW_COLUMNS = ("start", "end", "rank", "label", "score")
COLUMNS = ("video", *WINDOW_COLUMNS)


class Results:
    """Where the results of one video go.

    Args:
        claim: The files that may be written.
        model: The version's folder.
        top: How many of the best classes are named.
    """

    def __init__(self, claim: Claim, model: Path, top: int) -> None:
        self._claim = claim
        self._model = model
        self._top = top
        self._found: dict = {}

    def path(self, ending: str) -> Path:
        """The file that ends so."""
        return self._claim.path(ending)

    def write(self, prediction: Prediction) -> Path:
        """Write JSON and picture of a whole video; gives the picture's path."""
        self._write_json(as_json(prediction, self._model, self._top))
        draw_sheet(prediction, self.path(PICTURE))
        return self.path(PICTURE)

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
                for ending in (TABLE, SUBTITLES)
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
            if last is None:
                raise UserError(
                    f"--window must fit the video. Received: {length:g} s, of which "
                    f"{self.path('')} has none"
                )
            subtitles.write(_cue(last, None))
            mean = Prediction(
                last.video, last.labels, (total / count).astype(np.float32),
                last.prepared, last.flow,
            )  # fmt: skip
            found = as_json(mean, self._model, self._top)
            found["windows"] = {"length": length, "stride": stride, "count": count}
            self._write_json(found)  # before the tables take their names

    def _write_json(self, found: dict) -> None:
        """Write the JSON, which says first what will lie beside it.

        A process that is killed leaves no file that the JSON does not name, neither of
        this prediction nor of an earlier one.
        """
        self._claim.clear()
        self._found = found
        write_json(self.path(JSON), {**found, FILES: list(self._claim.wanted)})

    def give_up(self, ending: str) -> None:
        """Say that a file could not be written after all."""
        self._claim.give_up(ending)
        self._write_json(self._found)


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
    return "\n".join([shown(prediction.video), *lines])


def csv_line(rows: Iterable[Iterable]) -> str:
    """Rows as CSV, without the last line's end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")


def as_rows(prediction: Prediction, top: int) -> list[tuple]:
    """The best classes, a row each as in `COLUMNS`."""
    return [
        (
            shown(prediction.video),
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
    found: dict = {"video": shown(prediction.video), "model": shown(model)}
    if prediction.start is not None:
        found |= {"start": prediction.start, "end": prediction.end}
    scores = dict(zip(prediction.labels, prediction.scores.tolist(), strict=True))
    return {**found, "top": best, "scores": scores}


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
