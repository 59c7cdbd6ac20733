"""Why it decided so: `python -m stfn_keras.evaluation.explain --run RUN [VIDEO ...]`.

VIDEO is the id of a test video, as in predictions.csv, its last part, or a video file.
Without any the surest mistakes of the run's report are explained. Pictures go to
`report/heat/` and into the report's page: Grad-CAM of each tower, and what each segment
added.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.data.manifest import VerifyConfig
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string(
        "run", None, "run directory, or its archive", required=True
    )
    absl_flags.DEFINE_string("data", None, "where the run's data lie now, if moved")
    flags.define(CacheConfig)
    absl_flags.DEFINE_integer(
        "wrong", 8, "how many mistakes, where no video is named", lower_bound=1
    )
    absl_flags.DEFINE_string(
        "of", "predicted", "the class to explain: predicted, label, or its name"
    )
    absl_flags.DEFINE_string(
        "report", None, "report directory, if not RUN/report (an archive's: RUN.report)"
    )
    flags.define(VerifyConfig)


def main(argv: Sequence[str]) -> None:
    """Explain, then print which segment counted most and where the pictures are."""
    import_keras_quietly()
    from stfn_keras.data.source import open_data
    from stfn_keras.evaluation.entries import TEST
    from stfn_keras.evaluation.explaining import explain_videos, wrong_videos
    from stfn_keras.training.archive import opened

    values = absl_flags.FLAGS
    path = Path(values.run)
    default = path.with_name(f"{path.name}.{TEST}") if path.is_file() else path / TEST
    report = Path(values.report) if values.report else default
    with opened(path) as run:
        if not (location := values.data or run.data):
            raise UserError(f"the archive {path} needs --data: where its data lie here")
        names = list(argv[1:]) or wrong_videos(report, run, values.wrong)
        if not names:
            print(f"no test video of {report} is wrong: name the videos to explain")
            return
        folder = open_data(location, flags.read(CacheConfig))
        tables = explain_videos(
            run, names, report, values.of, folder, flags.read(VerifyConfig)
        )
    for title, rows in tables.items():
        most = rows.loc[rows[rows.columns[-1]].idxmax(), "segment"]
        print(f"{title}; most by segment {most:.0f} of {len(rows)}")
    print(f"pictures: {report / 'heat'}")


def run() -> None:
    """Entry point of the module."""
    define_flags()
    flags.run(main, positional=True)


if __name__ == "__main__":
    run()
