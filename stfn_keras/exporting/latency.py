"""How long formats take, measured in turns.

found = latencies({"onnx": runtime, ...}, batches=(1, 8))
found["onnx"][8]  # milliseconds a call
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from stfn_keras.serving.runtimes.base import Runtime

ROUNDS = 3  # a machine's load drifts: every format has its turn in each
CALLS = 3  # timed in a turn, after one that is not


def latencies(
    runtimes: Mapping[str, Runtime], batches: Sequence[int]
) -> dict[str, dict[int, float]]:
    """The median time of a call, of noise: from views in memory to scores.

    Args:
        runtimes: By format.
        batches: Batch sizes.

    Returns:
        Milliseconds, by format and batch size.
    """
    draws = np.random.default_rng(0)
    taken: dict[str, dict[int, list[float]]] = {
        name: {batch: [] for batch in batches} for name in runtimes
    }
    turns = [(b, name) for b in batches for _ in range(ROUNDS) for name in runtimes]
    for batch, name in tqdm(turns, desc="latency", unit="turn", dynamic_ncols=True):
        runtime = runtimes[name]
        views = {
            stream: draws.integers(0, 256, (batch, *shape), np.uint8)
            for stream, shape in runtime.inputs.items()
        }
        runtime.predict(views)  # also waits for what the last turn's threads still do
        for _ in range(CALLS):
            start = time.perf_counter()
            runtime.predict(views)
            taken[name][batch].append(1000 * (time.perf_counter() - start))
    return {
        name: {batch: float(np.median(times)) for batch, times in found.items()}
        for name, found in taken.items()
    }
