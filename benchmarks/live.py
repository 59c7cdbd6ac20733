"""An update of a stream: one new segment, against all T anew; by turns in one run.

    python benchmarks/live.py --model models/stfn clip.avi

Each turn takes the next segment of the video. "towers" and "network" are the served
functions alone; "update" and "recompute" begin with frames, flow and JPEGs included.
"""

import itertools
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags as absl_flags
from turns import Turns

from stfn_keras import flags
from stfn_keras.serving.playing import play
from stfn_keras.serving.sliding import SlidingNetwork


def define_flags() -> None:
    """Define the flags."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_integer("threads", 0, "CPU threads of the network; 0: its choice")
    absl_flags.DEFINE_integer("updates", 20, "turns, after a first round of T")


def main(argv: Sequence[str]) -> None:
    """Measure and print."""
    values = absl_flags.FLAGS
    network = SlidingNetwork(Path(values.model), values.threads or None)
    length = network.segments
    frames = [frame for _, frame in play(argv[1])]
    starts = range(0, len(frames) - network.reach + 1, 3)
    snippets = [frames[start : start + network.reach] for start in starts]
    last: deque = deque(maxlen=length)
    views: deque = deque(maxlen=length)
    turns, largest = Turns(), 0.0
    for number, snippet in enumerate(itertools.cycle(snippets)):
        if number == length + values.updates:
            break
        taken = turns if number >= length else Turns()
        last.append(snippet)
        views.append(network.view(snippet))
        with taken("update"):
            ours = network.update(snippet).scores
        with taken("recompute"):
            each = [network.view(old) for old in last]
            _whole(network, each)
        one = {stream: tf.constant(view) for stream, view in views[-1].items()}
        all_t = {
            stream: tf.constant(np.concatenate([view[stream] for view in views]))
            for stream in one
        }
        features = network.runtime.signatures["features"]
        with taken("towers, one segment"):
            next(iter(features(**one).values())).numpy()
        with taken("towers, all segments"):
            next(iter(features(**all_t).values())).numpy()
        with taken("fusion"):
            network.scored()
        with taken("network"):
            theirs = _whole(network, views)
        if number >= length:
            largest = max(largest, float(np.abs(ours - theirs).max()))
    print(f"T = {length}, so 1 / T = {1 / length:.3f}; scores differ by {largest:.1e}")
    print(turns.compared("towers, one segment", "towers, all segments"))
    print(turns.compared("update", "recompute"))
    print(*turns.lines(), sep="\n")


def _whole(network: SlidingNetwork, views: Sequence) -> np.ndarray:
    """Score T views by the whole network; the first stands for missing ones."""
    missing = [views[0]] * (network.segments - len(views))
    given = [*missing, *views]
    stacked = {
        stream: np.stack([view[stream] for view in given], axis=1)
        for stream in network.runtime.inputs
    }
    return network.runtime.predict(stacked)["scores"][0]


if __name__ == "__main__":
    define_flags()
    flags.run(main, positional=True)
