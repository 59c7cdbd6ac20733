"""Scores of videos: every video once, its logits averaged over its views.

network = trained_network(run)
scores = score_videos(network, source, segments=7, samplings=1, crops=10)
"""

import dataclasses

import keras
import numpy as np
from tqdm import tqdm

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.data.pipeline import view_batches
from stfn_keras.data.source import Source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.metrics import ranks
from stfn_keras.evaluation.scores import Scores, check_finite, shown_ids
from stfn_keras.training.checkpoint import load_weights
from stfn_keras.training.finished import network_digest
from stfn_keras.training.run import Run


def view_config(model: ModelConfig) -> ModelConfig:
    """The network as it sees one view.

    A network of independent segments (a tower, late fusion of logits) takes one
    snippet a view, any other its T segments.
    """
    return dataclasses.replace(model, segments=1) if model.views_are_snippets else model


def trained_network(run: Run, model: ModelConfig | None = None) -> keras.Model:
    """The run's assembled network, or its weights at another number of segments.

    Raises:
        UserError: The run is not finished, or its network file is damaged.
    """
    digest = network_digest(run)
    network = models.build(model or run.model, len(run.labels))
    load_weights(network, run.network_file, digest)
    return network


def score_videos(
    network: keras.Model,
    source: Source,
    classes: tuple[str, ...],
    *,
    samplings: int,
    crops: int,
    batch: int,
    described: str = "scoring",
) -> Scores:
    """Score every video of the source exactly once.

    Args:
        network: From pixels to logits.
        source: The shards.
        classes: Names of the classes.
        samplings: Samplings S of the segments per video.
        crops: Crops C per sampling.
        batch: Views per forward pass; the result does not depend on it beyond
            float rounding.
        described: What the progress bar calls it.

    Raises:
        UserError: The shards hold another number of videos than the manifest says,
            or the network gives no finite logits.
    """
    segments = next(iter(network.input.values())).shape[1]
    heads = [name for name in network.output if name.endswith("_logits")]
    names = ["logits", *heads]
    sums: dict[bytes, dict[str, np.ndarray]] = {}
    views: dict[bytes, int] = {}
    right: dict[bytes, int] = {}
    labels: dict[bytes, int] = {}
    batches = view_batches(
        source, segments=segments, samplings=samplings, crops=crops, batch=batch
    )
    per_video = samplings * crops
    with tqdm(
        total=source.videos * per_video, desc=described, unit="view", dynamic_ncols=True
    ) as bar:
        for inputs, about in batches:
            # Any backend takes arrays; TensorFlow's tensors it alone.
            shown = {stream: seen.numpy() for stream, seen in inputs.items()}
            given = network.predict_on_batch(shown)
            found = {name: np.asarray(scores) for name, scores in given.items()}
            check_finite(found["logits"])
            ids, truth = about["id"].numpy(), about["label"].numpy()
            hits = ranks(truth, found["logits"]) < 1
            for row, (key, label) in enumerate(zip(ids, truth, strict=True)):
                labels[key] = int(label)
                views[key] = views.get(key, 0) + 1
                right[key] = right.get(key, 0) + int(hits[row])
                total = sums.setdefault(key, {})
                for name in names:
                    logits = np.asarray(found[name][row], np.float64)
                    total[name] = total.get(name, 0.0) + logits
            bar.update(len(ids))
    if len(views) != source.videos or set(views.values()) - {per_video}:
        raise UserError(
            f"expected {source.videos} videos with {per_video} views each in the "
            f"shards. Received: {len(views)} videos, {sum(views.values())} views: run "
            "`python -m data_prep verify` on the data"
        )
    means = {
        name: np.stack([sums[k][name] / per_video for k in sums]).astype(np.float32)
        for name in names
    }
    return Scores(
        video_id=shown_ids(sums),
        label=np.array([labels[key] for key in sums], np.int64),
        logits=means.pop("logits"),
        classes=np.array(classes),
        streams=means,
        view_right=np.array([right[key] / per_video for key in sums]),
    )
