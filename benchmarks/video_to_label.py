"""From a raw video file to its label: what each stage takes, with each runtime.

    python benchmarks/video_to_label.py --model models/stfn clip.avi other.mp4

Stages of every video and every runtime are timed by turns in one run. Shares are of
CPU seconds, which other programs on the machine hardly touch; the wall seconds of the
whole path, as `predict.py` goes it, stand beside the length of the videos.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from absl import flags as absl_flags
from turns import Turns

from stfn_keras import flags
from stfn_keras.serving.predictor import Predictor
from stfn_keras.video import decode, flow, image
from stfn_keras.video.prepare import snippet_positions

STAGES = ("count", "read", "flow", "jpeg", "view")


def define_flags() -> None:
    """Define the flags."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_list("runtimes", ["saved_model"], "formats to compare")
    absl_flags.DEFINE_integer("threads", 0, "CPU threads of the network; 0: its choice")
    absl_flags.DEFINE_integer("rounds", 5, "turns of each video")


def main(argv: Sequence[str]) -> None:
    """Measure and print."""
    values = absl_flags.FLAGS
    videos = [Path(name) for name in argv[1:]]
    predictors = {
        name: Predictor(Path(values.model), name, values.threads or None)
        for name in values.runtimes
    }
    first = next(iter(predictors.values()))
    infos = [decode.count(video) for video in videos]
    length = sum(info.frames / info.rate for info in infos)
    turns = Turns()
    for number in range(values.rounds + 1):
        taken = turns if number else Turns()  # the first round warms up
        for video, info in zip(videos, infos, strict=True):
            _stages(taken, first, video, info)
            prepared = first.preparer.prepare(video)
            with taken("view"):
                views = first.views(prepared)
            _towers_and_fusion(taken, first, views)
            for name, predictor in predictors.items():
                with taken(f"network {name}"):
                    predictor.runtime.predict(views)
                with taken(f"whole {name}"):
                    predictor.predict(video)
    print(f"{len(videos)} videos, {length:.1f} seconds, {values.rounds} rounds")
    _print(turns, length, len(videos), list(predictors))


def _stages(
    taken: Turns, first: Predictor, video: Path, info: decode.VideoInfo
) -> None:
    """Do what preparation does, a stage at a time."""
    preparer = first.preparer
    config, extent = preparer.preparation, preparer.extent
    with taken("count"):
        decode.count(video)
    positions = snippet_positions(info.frames, config, info.seconds)
    chosen = [positions[index] for index in preparer.select]
    starts = sorted(set(extent.starts(chosen, info.frames, config)))
    snippets = [extent.snippet(start, info.frames) for start in starts]
    pairs = {pair for snippet in snippets for pair in snippet.pairs}
    wanted = {index for snippet in snippets for index in snippet.frames}
    wanted |= pairs | {pair + 1 for pair in pairs}
    with taken("read"):
        frames = dict(decode.read(video, decode.stored_size(info, config.size), wanted))
    codes = {}
    with taken("flow"), flow.single_thread():
        grays = {n: cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for n, f in frames.items()}
        for pair in pairs:
            motion = flow.compute(config.flow[0], grays[pair], grays[pair + 1])
            codes[pair] = flow.quantise(motion)
    with taken("jpeg"):
        for snippet in snippets:
            for index in snippet.frames:
                image.encode_rgb(frames[index])
            if snippet.pairs:
                image.encode_flow(np.stack([codes[pair] for pair in snippet.pairs]))


def _towers_and_fusion(
    taken: Turns, first: Predictor, views: dict[str, np.ndarray]
) -> None:
    """Run the SavedModel's towers and the rest of it apart."""
    signatures = getattr(first.runtime, "signatures", {})
    if "features" not in signatures:
        return
    segments = {stream: tf.constant(view[0]) for stream, view in views.items()}
    with taken("towers"):
        found = signatures["features"](**segments)
        features = {name: value.numpy()[np.newaxis] for name, value in found.items()}
    with taken("fusion"):
        given = {name: tf.constant(value) for name, value in features.items()}
        signatures["fuse"](**given)["scores"].numpy()


def _print(turns: Turns, length: float, videos: int, names: list[str]) -> None:
    def seconds(name: str, of: int) -> float:
        """Of all videos once: the median of the rounds."""
        each = [turn[of] for turn in turns.times[name]]
        return statistics.median(
            sum(each[n : n + videos]) for n in range(0, len(each), videos)
        )

    stages = [*STAGES, *(s for s in ("towers", "fusion") if s in turns.times)]
    whole = sum(seconds(stage, 1) for stage in stages)
    print(f"\n{'stage':<12} {'CPU ms per second of video':>28} {'share':>8}")
    for stage in stages:
        cpu = seconds(stage, 1)
        print(f"{stage:<12} {1000 * cpu / length:28.1f} {cpu / whole:8.1%}")
    print(
        f"\n{'runtime':<16} {'network':>9} {'whole':>9} {'whole, wall':>12}"
        "   ms per second of video"
    )
    for name in names:
        network, cpu, wall = (
            1000 * seconds(*what) / length
            for what in ((f"network {name}", 1), (f"whole {name}", 1),
                         (f"whole {name}", 0))
        )  # fmt: skip
        print(
            f"{name:<16} {network:9.1f} {cpu:9.1f} {wall:12.1f}"
            f"   {1000 / wall:.1f} x real time"
        )


if __name__ == "__main__":
    define_flags()
    flags.run(main, positional=True)
