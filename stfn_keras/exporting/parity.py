"""Proof that an exported model is the trained one: same bytes in, same scores out."""

from collections.abc import Callable

import keras
import numpy as np
from tqdm import tqdm

from stfn_keras.data.pipeline import encoded_batches, view_batches
from stfn_keras.data.source import Source

SAVED_MODEL_TOLERANCE = 1e-5  # on softmax scores
BATCH = 4


def jpeg_inputs(encoded: dict) -> dict:
    """The inputs of `serve_jpeg` from encoded videos, as `encoded_batches` gives."""
    inputs = {f"{s}_jpeg": encoded[s] for s in ("rgb", "flow") if s in encoded}
    if "rgb" not in encoded:
        inputs |= {side: encoded[side] for side in ("height", "width")}
    return inputs


def measure_parity(
    network: keras.Model, serve_jpeg: Callable, source: Source, videos: int
) -> dict:
    """Compare the evaluation path with `serve_jpeg` on encoded test snippets.

    Args:
        network: The trained network, as evaluation calls it.
        serve_jpeg: The exported model's signature.
        source: Test shards.
        videos: How many videos to compare at most.

    Returns:
        `videos`, `max_abs_diff` of softmax scores, `top1_agreement` and `accuracy`
        of the exported model (0..1), `tolerance`, `passed`.
    """
    segments = int(next(iter(network.input.values())).shape[1])
    views = view_batches(source, segments=segments, samplings=1, crops=1, batch=BATCH)
    encoded = encoded_batches(source, segments=segments, batch=BATCH)
    ours, theirs, labels = [], [], []
    total = min(videos, source.videos)
    with tqdm(total=total, desc="parity", unit="video", dynamic_ncols=True) as bar:
        for (inputs, about), bundle in zip(views, encoded, strict=True):
            ours.append(np.asarray(network.predict_on_batch(inputs)["scores"]))
            theirs.append(serve_jpeg(**jpeg_inputs(bundle))["scores"].numpy())
            labels.append(about["label"].numpy())
            bar.update(len(labels[-1]))
            if sum(map(len, labels)) >= videos:
                break
    expected, received = np.concatenate(ours), np.concatenate(theirs)
    best = received.argmax(axis=1)
    largest = float(np.abs(expected - received).max())
    return {
        "videos": len(expected),
        "max_abs_diff": largest,
        "top1_agreement": float((expected.argmax(axis=1) == best).mean()),
        "accuracy": float((best == np.concatenate(labels)).mean()),
        "tolerance": SAVED_MODEL_TOLERANCE,
        "passed": largest <= SAVED_MODEL_TOLERANCE,
    }
