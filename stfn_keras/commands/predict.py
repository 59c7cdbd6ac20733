"""Predict a video's class: `python predict.py --model models/NAME VIDEO`."""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.commands.quiet import import_keras_quietly
from stfn_keras.errors import UserError
from stfn_keras.files import write_json


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
    predictor = Predictor(Path(values.model))
    for video in videos:
        prediction = predictor.predict(video)
        best = prediction.top(values.top)
        stem = Path(values.out) / video.stem
        found = {
            "video": str(video),
            "model": str(predictor.folder),
            "top": [{"label": label, "score": score} for label, score in best],
            "scores": dict(zip(prediction.labels, prediction.scores.tolist(),
                               strict=True)),
        }  # fmt: skip
        write_json(stem.with_name(stem.name + ".json"), found)
        sheet = stem.with_name(stem.name + ".png")
        draw_sheet(prediction, sheet)
        if values.json:
            print(json.dumps(found))
            continue
        print(video)
        for label, score in best:
            print(f"  {score:6.4f}  {label}")
        print(f"  picture: {sheet}")


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main)
