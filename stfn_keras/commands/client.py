"""Ask a server: `python -m stfn_keras.serving.client --server HOST:PORT VIDEO...`.

--config is the model's assets.extra/config.json, or a copy of it, or the folder of the
model: videos are prepared here, flow included, as the model was trained, and only
encoded images travel.
--server is HOST:8500 for TensorFlow Serving's gRPC, http://HOST:8501 for its REST and
for KServe, v2+http://HOST:8000 for Triton.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.files import shown
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.video.listing import is_frame_folder


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("server", None, "its address", required=True)
    absl_flags.DEFINE_string(
        "config", None, "the model's config.json, or its folder", required=True
    )
    absl_flags.DEFINE_string(
        "name", "", "of the model on the server; of the export's folder if none"
    )
    absl_flags.DEFINE_integer(
        "model_version", None, "of the model; the newest if none", lower_bound=1
    )
    absl_flags.DEFINE_float("timeout", 60.0, "seconds for an answer", lower_bound=0.001)
    absl_flags.DEFINE_integer(
        "retries", None, "further tries where nobody answers; none given: as many as "
        "fit --timeout", lower_bound=0,
    )  # fmt: skip
    absl_flags.DEFINE_integer(
        "max_bytes", 64_000_000, "of a message, at most", lower_bound=1
    )
    absl_flags.DEFINE_integer("top", 5, "classes to print", lower_bound=1)
    absl_flags.DEFINE_bool("json", False, "print JSON, one object a video")


def main(argv: Sequence[str]) -> None:
    """Print the best classes of every video named on the command line."""
    videos = [Path(name) for name in argv[1:]]
    if not videos:
        raise UserError("name at least one video: ... --server HOST:PORT VIDEO ...")
    values = absl_flags.FLAGS
    if "http" not in values.server:
        import_keras_quietly()  # gRPC's protos are made of TensorFlow's
    from stfn_keras.serving.client import Client
    from stfn_keras.serving.client.transport import Unavailable

    failed = 0
    with Client.open(
        values.server, Path(values.config), values.name or None, values.model_version,
        values.timeout, values.retries, values.max_bytes,
    ) as client:  # fmt: skip
        for video in videos:
            try:
                _check_video(video)
                best = client.predict_video(video).top(values.top)
            except Unavailable as error:  # nor would it answer for the others
                raise UserError(f"{shown(video)}: {error}") from error
            except UserError as error:
                failed += 1
                named = str(video) in str(error)
                words = str(error) if named else f"{shown(video)}: {error}"
                print(f"error: {words}", file=sys.stderr)
                continue
            if values.json:
                top = [{"label": label, "score": score} for label, score in best]
                print(json.dumps({"video": shown(video), "top": top}), flush=True)
            else:
                lines = [f"  {score:6.4f}  {label}" for label, score in best]
                print("\n".join([shown(video), *lines]), flush=True)
    if failed:
        raise UserError(f"{failed} of {len(videos)} videos could not be predicted")


def _check_video(video: Path) -> None:
    """Refuse a folder of videos, which the client does not look into."""
    if video.is_dir() and not is_frame_folder(video):
        raise UserError(
            "the client takes video files and frame folders. Received: the folder "
            f"{shown(video)}; name the videos in it"
        )


def run() -> None:
    """Entry point of the module."""
    define_flags()
    flags.run(main, positional=True)
