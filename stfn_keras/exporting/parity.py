"""Proof that an exported format is the trained network: same bytes in, same scores out.

reference = read_reference(network, source, videos=0)   # once, as evaluation does
scores = score_views(runtime, source, reference)        # of any format
row = compared(scores, reference, FORMATS["onnx"], max_drop=0.01)
row["passed"]
row = unmeasured("no operator Erfc", reference, FORMATS["onnx"], max_drop=0.01)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from stfn_keras.data.pipeline import encoded_batches, view_batches
from stfn_keras.data.source import Source
from stfn_keras.serving.formats import Format
from stfn_keras.serving.runtimes.base import Runtime
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime
from stfn_keras.video.centre import centre_views

BATCH = 4


@dataclass(frozen=True)
class Reference:
    """What evaluation's path says.

    Attributes:
        scores: Softmax, float32 (N, C).
        label: int64 (N,).
        made_up: Whether the videos show nothing, so that there is no accuracy.
    """

    scores: np.ndarray
    label: np.ndarray
    made_up: bool = False

    def __len__(self) -> int:
        return len(self.scores)

    def accuracy(self, scores: np.ndarray) -> float | None:
        """Top-1 accuracy of scores (N, C), 0..1."""
        if self.made_up:
            return None
        return float((scores.argmax(axis=1) == self.label).mean())


def jpeg_inputs(encoded: dict) -> dict:
    """The inputs of `serve_jpeg` from encoded videos, as `encoded_batches` gives."""
    inputs = {f"{s}_jpeg": encoded[s] for s in ("rgb", "flow") if s in encoded}
    if "rgb" not in encoded:
        inputs |= {side: encoded[side] for side in ("height", "width")}
    return inputs


def read_reference(
    network: keras.Model, source: Source, videos: int, made_up: bool = False
) -> Reference:
    """Score test videos with the trained network, by the path of evaluation.

    Args:
        network: As evaluation calls it.
        source: Test shards.
        videos: At most; 0 for all.
        made_up: As of `Reference`.
    """
    count = min(videos or source.videos, source.videos)
    segments = int(next(iter(network.input.values())).shape[1])
    views = view_batches(source, segments=segments, samplings=1, crops=1, batch=BATCH)
    scores, labels = [], []
    for inputs, about in _shown(_first(views, count), count, "evaluation"):
        scores.append(np.asarray(network.predict_on_batch(inputs)["scores"]))
        labels.append(about["label"].numpy())
    return Reference(np.concatenate(scores), np.concatenate(labels), made_up)


def score_views(runtime: Runtime, source: Source, reference: Reference) -> np.ndarray:
    """Scores of the reference's videos by a format that takes views; (N, C)."""
    sizes = {stream: shape[1] for stream, shape in runtime.inputs.items()}

    def seen(encoded: dict) -> dict:
        return centre_views(jpeg_inputs(encoded), sizes, source.extent)

    batches = _encoded(source, runtime, reference).map(seen).prefetch(2)
    return np.concatenate(
        [
            runtime.predict({stream: view.numpy() for stream, view in views.items()})[
                "scores"
            ]
            for views in _shown(batches, len(reference), runtime.name)
        ]
    )


def score_jpegs(
    runtime: SavedModelRuntime, source: Source, reference: Reference
) -> np.ndarray:
    """Scores of the reference's videos by `serve_jpeg`; (N, C)."""
    serve, batches = runtime.signatures["serve_jpeg"], []
    encoded = _encoded(source, runtime, reference)
    for bundle in _shown(encoded, len(reference), runtime.name):
        batches.append(serve(**jpeg_inputs(bundle))["scores"].numpy())
    return np.concatenate(batches)


def signatures_apart(runtime: SavedModelRuntime, source: Source) -> float:
    """How far apart a SavedModel's signatures are on a batch of the source's videos.

    Returns:
        The largest difference of scores from those of `serve_jpeg`, of
        `serving_default` and, where there are such signatures, of `fuse` on the
        `features` of each segment.
    """
    sizes = {stream: shape[1] for stream, shape in runtime.inputs.items()}
    bundle = next(iter(encoded_batches(source, segments=runtime.segments, batch=BATCH)))
    encoded, signatures = jpeg_inputs(bundle), runtime.signatures
    expected = signatures["serve_jpeg"](**encoded)["scores"]
    views = centre_views(encoded, sizes, source.extent)
    found = [signatures["serving_default"](**views)["scores"]]
    if "fuse" in signatures:
        folded = {s: tf.reshape(v, [-1, *v.shape[2:]]) for s, v in views.items()}
        features = {
            name: tf.reshape(segments, [-1, runtime.segments, segments.shape[-1]])
            for name, segments in signatures["features"](**folded).items()
        }
        found.append(signatures["fuse"](**features)["scores"])
    return max(float(np.abs(scores - expected).max()) for scores in found)


def compared(
    scores: np.ndarray, reference: Reference, known: Format, max_drop: float
) -> dict[str, Any]:
    """Compare a format's scores with evaluation's, and judge it.

    Args:
        scores: Softmax, (N, C).
        reference: Of the same videos.
        known: The format.
        max_drop: Accuracy that it may lose if it is of reduced precision; on made-up
            videos, the share of them on which it may choose another class.

    Returns:
        Its row of `parity.json`: `videos`, `max_abs_diff` of softmax scores,
        `top1_agreement`, `accuracy` (0..1, None for made-up videos), `tolerance`,
        `max_drop`, `passed` and, where it is False, `reason`; `bytes` and
        `latency_ms` are None until they are known.
    """
    row = _blank(reference, known, max_drop) | {
        "videos": len(reference),
        "top1_agreement": float(
            (reference.scores.argmax(1) == scores.argmax(1)).mean()
        ),
        "accuracy": reference.accuracy(scores),
    }
    if np.isfinite(scores).all():
        row["max_abs_diff"] = float(np.abs(reference.scores - scores).max())
    reason = _fault(row, reference)
    return {**row, "passed": not reason, **({"reason": reason} if reason else {})}


def unmeasured(
    reason: str, reference: Reference, known: Format, max_drop: float
) -> dict[str, Any]:
    """The row of a format that came to no scores: every key, None for no figure.

    Args:
        reason: Why.
        reference: Of the videos that it should have scored.
        known: The format.
        max_drop: As of `compared`.
    """
    row = _blank(reference, known, max_drop)
    return {**row, "passed": False, "reason": reason}


def _blank(reference: Reference, known: Format, max_drop: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "videos": 0,
        "max_abs_diff": None,
        "top1_agreement": None,
        "accuracy": None,
        "bytes": None,
        "tolerance": known.tolerance,
        "max_drop": max_drop if known.reduced else None,
        "latency_ms": None,
    }
    return {**row, "made_up": True} if reference.made_up else row


def _fault(row: dict[str, Any], reference: Reference) -> str:
    """Why a format is refused; empty if it is not."""
    apart, tolerance, max_drop = (
        row[key] for key in ("max_abs_diff", "tolerance", "max_drop")
    )
    if apart is None:
        return "its scores are not finite"
    if apart > tolerance:
        return (
            f"its scores must be within {tolerance:g} of the evaluation's. Received: "
            f"{apart:.2g}"
        )
    if max_drop is None:
        return ""
    if reference.made_up:
        if row["top1_agreement"] < 1 - max_drop:
            return (
                f"it must choose the evaluation's class for all but {max_drop:.1%} of "
                f"the made-up videos. Received: {1 - row['top1_agreement']:.1%}"
            )
        return ""
    drop = reference.accuracy(reference.scores) - row["accuracy"]  # type: ignore[operator]
    if drop > max_drop:
        return (
            f"it may lose {max_drop:.2%} accuracy (--max_drop). Received: a loss of "
            f"{drop:.2%}, {round(drop * len(reference))} of {len(reference)} videos"
        )
    return ""


def _encoded(source: Source, runtime: Runtime, reference: Reference) -> tf.data.Dataset:
    data = encoded_batches(source, segments=runtime.segments, batch=BATCH)
    return _first(data, len(reference))


def _first(data: tf.data.Dataset, videos: int) -> tf.data.Dataset:
    """The first videos of batches, in batches."""
    return data.unbatch().take(videos).batch(BATCH)


def _shown(batches: Iterable, videos: int, name: str) -> Iterator:
    """The batches, with a bar that counts their videos."""
    with tqdm(
        total=videos, desc=f"parity {name}", unit="video", dynamic_ncols=True
    ) as bar:
        for batch in batches:
            yield batch
            bar.update(min(BATCH, videos - bar.n))
