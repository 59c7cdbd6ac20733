"""Predict classes of videos: `python predict.py --model models/NAME VIDEO ...`.

VIDEO is a file, a folder of videos or of a video's frames, a pattern such as
'clips/**/*.mp4', camera:0, or - for a list on standard input, a path a line.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags
from tqdm import tqdm

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.files import shown
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.claims import (
    DRAWN,
    SUBTITLES,
    TABLE,
    Claim,
    endings,
    identities,
)
from stfn_keras.serving.folder import is_version
from stfn_keras.serving.sources import Source, find_sources
from stfn_keras.video.limits import DecodingConfig

if TYPE_CHECKING:
    from stfn_keras.serving.predictor import Predictor
    from stfn_keras.serving.results import Results

REMOTE = "remote"


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string("out", "predictions", "folder for each video's results")
    absl_flags.DEFINE_integer("top", 5, "classes to name", lower_bound=1)
    absl_flags.DEFINE_enum(
        "format", "text", ["text", "csv", "jsonl"], "what is printed"
    )
    absl_flags.DEFINE_bool("json", False, "the same as --format=jsonl")
    absl_flags.DEFINE_float(
        "window", 0.0, "cut videos into windows of so many seconds; 0: do not", 0.0
    )
    absl_flags.DEFINE_float(
        "stride", 0.0, "seconds from a window to the next; 0: the window's length", 0.0
    )
    absl_flags.DEFINE_bool("draw", False, "write each video with its labels over it")
    absl_flags.DEFINE_float("seconds", 5.0, "how long a camera is watched", 0.1)
    absl_flags.DEFINE_string(
        "runtime",
        "saved_model",
        "what computes: saved_model (tf), litert_float32 (litert), litert_float16, "
        "litert_dynamic, litert_int8, onnx, openvino, as far as exported; or remote; "
        "or a TensorRT engine, FILE.engine",
    )
    absl_flags.DEFINE_string("server", "", "with --runtime=remote: its address")
    absl_flags.DEFINE_string("name", "", "of the model there; of the folder if none")
    absl_flags.DEFINE_integer(
        "model_version", None, "of the model there; the newest if none", lower_bound=1
    )
    absl_flags.DEFINE_float(
        "timeout", 60.0, "seconds for the server's answer", lower_bound=0.001
    )
    absl_flags.DEFINE_integer(
        "threads", 0, "CPU threads of the network; 0: the runtime's choice", 0
    )
    flags.define(DecodingConfig)


def main(argv: Sequence[str]) -> None:
    """Predict every video named on the command line."""
    values = absl_flags.FLAGS
    if len(argv) < 2:
        raise UserError("name at least one video: predict.py --model DIR VIDEO ...")
    if values.stride and not values.window:
        raise UserError("--stride needs --window, the length of a window in seconds")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # names need not be UTF-8
    sources = find_sources(argv[1:], sys.stdin)
    import_keras_quietly()
    from stfn_keras.serving.client.transport import Unavailable
    from stfn_keras.serving.predictor import Predictor
    from stfn_keras.serving.results import COLUMNS, Results, csv_line

    wanted = endings(bool(values.window), values.draw)
    videos = identities([source.path for source in sources])

    def claimed(source: Source) -> Claim:
        return Claim(Path(values.out) / source.name, wanted, videos)

    for source in sources:
        claimed(source)
    decoding = flags.read(DecodingConfig)
    predictor = Predictor(
        Path(values.model), _runtime(values), values.threads or None, decoding
    )
    if _form(values) == "csv":
        print(csv_line([COLUMNS]))
    failed = 0
    # A bar only where several videos are awaited on a terminal.
    quiet = True if len(sources) < 2 else None
    for source in tqdm(sources, unit="video", disable=quiet, dynamic_ncols=True):
        try:
            results = Results(claimed(source), predictor.folder, values.top)
            with _recorded(source, values.seconds) as video:
                _predict(predictor, video, source, results, values, decoding)
        except Unavailable as error:  # nor would the server answer for the others
            raise UserError(f"{shown(source.path)}: {error}") from error
        except UserError as error:
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
    if failed:
        raise UserError(f"{failed} of {len(sources)} videos could not be predicted")


def _predict(
    predictor: "Predictor",
    video: Path,
    source: Source,
    results: "Results",
    values: Any,
    decoding: DecodingConfig,
) -> None:
    """Predict one video, or its windows; print them and write their files."""
    from stfn_keras.serving.drawing import LINES, draw_video
    from stfn_keras.serving.results import as_line

    form, labels = _form(values), []

    def say(text: str) -> None:
        tqdm.write(text, file=sys.stdout)

    if values.window:
        stride = values.stride or values.window
        windows = predictor.windows(video, values.window, stride, source.path)
        if form == "text":
            say(shown(source.path))
        for found in results.written(windows, values.window, stride):
            say(as_line(found, form, predictor.folder, values.top))
            if values.draw:
                labels.append((found.start or 0.0, found.end or 0.0, found.top(LINES)))
        if form == "text":
            say(f"  windows: {shown(results.path(TABLE))}, {SUBTITLES}")
    else:
        found = predictor.predict(video, source.path)
        picture = results.write(found)
        say(as_line(found, form, predictor.folder, values.top))
        labels.append((0.0, float("inf"), found.top(LINES)))
        if form == "text":
            say(f"  picture: {shown(picture)}")
    if values.draw:
        try:
            draw_video(video, labels, results.path(DRAWN), decoding)
        except UserError:
            results.give_up(DRAWN)
            raise
        if form == "text":
            say(f"  video: {shown(results.path(DRAWN))}")


@contextlib.contextmanager
def _recorded(source: Source, seconds: float) -> Iterator[Path]:
    """Give the file to predict: of a camera what it sees now, for a while."""
    if source.camera is None:
        yield source.path
        return
    from stfn_keras.serving.playing import record

    with tempfile.TemporaryDirectory(prefix="stfn-") as folder:
        video = Path(folder) / "camera.mkv"
        record(source.camera, seconds, video)
        yield video


def _runtime(values: Any) -> Any:
    """The runtime's name, or the one that asks a server."""
    if (values.runtime == REMOTE) != bool(values.server):
        raise UserError(
            "--runtime=remote and --server=HOST:PORT belong together. Received: "
            f"--runtime={values.runtime} --server={values.server!r}"
        )
    if values.runtime != REMOTE:
        _check_local(values)
        return values.runtime
    from stfn_keras.serving.runtimes.remote import open_remote

    return open_remote(
        Path(values.model), values.server, values.name or None, values.model_version,
        values.timeout,
    )  # fmt: skip


def _check_local(values: Any) -> None:
    """Refuse the flags that only a server has a use for."""
    for flag in ("name", "model_version", "timeout"):
        if not values[flag].present:
            continue
        told = f"--{flag} is for --runtime=remote alone"
        if flag == "model_version":
            model = Path(values.model)
            model = model.parent if is_version(model.name) else model
            told += f": use --model {shown(model / str(values.model_version))}"
        raise UserError(told)


def _form(values: Any) -> str:
    return "jsonl" if values.json else values.format


def run() -> None:
    """Entry point of the console script."""
    define_flags()
    flags.run(main, positional=True)
