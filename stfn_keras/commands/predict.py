"""Predict a video's class: `python predict.py --model models/NAME VIDEO`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json
from stfn_keras.quiet import import_keras_quietly

if TYPE_CHECKING:
    from stfn_keras.serving.predictor import Prediction


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string(
        "out", "predictions", "folder for the JSON and the picture of each video"
    )
    absl_flags.DEFINE_integer("top", 5, "classes to print", lower_bound=1)
    absl_flags.DEFINE_bool("json", False, "print JSON, one object a video")


def main(argv: Sequence[str]) -> None:
    """Predict every video named on the command line."""
    videos = [Path(name) for name in argv[1:]]
    if not videos:
        raise UserError("name at least one video: predict.py --model DIR VIDEO ...")
    import_keras_quietly()
    from stfn_keras.serving.predictor import Predictor
    from stfn_keras.serving.sheet import draw_sheet

    values = absl_flags.FLAGS
    stems = [video.stem for video in videos]
    if len(set(stems)) < len(stems):
        raise UserError(
            "videos of one call must have distinct names, since their results are "
            f"named after them. Received: {', '.join(sorted(stems))}"
        )
    for name in stems:
        _check_ours(Path(values.out) / name)
    predictor = Predictor(Path(values.model))
    failed = 0
    for video in videos:
        try:
            prediction = predictor.predict(video)
        except UserError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        stem = Path(values.out) / video.stem
        sheet = stem.with_name(stem.name + ".png")
        found = _as_json(prediction, predictor.folder, values.top)
        write_json(stem.with_name(stem.name + ".json"), found)
        draw_sheet(prediction, sheet)
        print(json.dumps(found) if values.json else _as_text(prediction, values.top))
        if not values.json:
            print(f"  picture: {sheet}")
    if failed:
        raise UserError(f"{failed} of {len(videos)} videos could not be predicted")


def _check_ours(stem: Path) -> None:
    """Refuse to write over files that an earlier prediction did not make."""
    result, sheet = (stem.with_name(stem.name + end) for end in (".json", ".png"))
    if result.exists():
        ours = {"video", "model", "top"} <= set(read_json(result, "a prediction"))
    else:
        ours = not sheet.exists()
    if not ours:
        raise UserError(
            f"--out holds files that are no predictions of ours: {stem}.*; choose "
            "another folder"
        )


def _as_json(prediction: "Prediction", model: Path, top: int) -> dict:
    best = [{"label": label, "score": score} for label, score in prediction.top(top)]
    scores = dict(zip(prediction.labels, prediction.scores.tolist(), strict=True))
    return {
        "video": str(prediction.video),
        "model": str(model),
        "top": best,
        "scores": scores,
    }


def _as_text(prediction: "Prediction", top: int) -> str:
    lines = [f"  {score:6.4f}  {label}" for label, score in prediction.top(top)]
    return "\n".join([str(prediction.video), *lines])


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main, positional=True)
