"""ActionVLAD: each stream's maps of all segments, pooled around learned centres.

Source: Girdhar et al., "ActionVLAD" (CVPR 2017), on our towers. Per stream

    last maps -> (to 512 channels) -> VLAD -> dropout -> Dense

and the weighted mean of both streams' logits. What a video is does not depend on the
order of its segments.

The paper's local features are the 512 channels of VGG-16's last convolution. Towers
whose last maps have more get a linear 1 x 1 convolution to 512 behind them (C). It
starts orthogonal, which keeps lengths and angles as far as the fewer channels can (C),
and learns with the classifier.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.extras import require_sklearn
from stfn_keras.models.networks.ends import (
    classified,
    pixel_inputs,
    scored,
    stream_pixels,
)
from stfn_keras.models.taps import tapped_tower
from stfn_keras.models.time_distributed import TimeDistributed
from stfn_keras.models.vlad import VLAD
from stfn_keras.models.weights import copy_by_name

MAPS = "stage5"
CENTRES = "action_vlad, for the centres of its clusters,"
SAMPLES = 50_000  # local features that the centres are sought among, at most
PER_BATCH = 5_000  # of those, from one batch, so that many videos have a part


def build(config: ModelConfig, classes: int) -> keras.Model:
    """Build the network from pixels to scores, with random weights.

    Args:
        config: `tower`, `segments`, sizes and `dropout` are read, `clusters` and
            `vlad_alpha` (of `VLAD`), `vlad_size` (the channels of local features),
            the weights of its streams and `combination`.
        classes: How many classes to tell apart.

    Returns:
        A model as `models.build` gives it, with both streams' logits.

    Raises:
        UserError: The tower cannot take an input of the configured size.
    """
    inputs, heads = pixel_inputs(config), {}
    for stream, tensor in stream_pixels(config, inputs).items():
        tower = tapped_tower(config, stream, [MAPS])
        wrapper = TimeDistributed(tower, dtype="float32", name=f"{stream}_features")
        x = wrapper(tensor)[MAPS]  # (batch, segments, height, width, channels)
        if x.shape[-1] > config.vlad_size:
            x = keras.layers.Dense(
                config.vlad_size,
                use_bias=False,
                kernel_initializer="orthogonal",
                name=f"{stream}_projection",
            )(x)
        # In mixed precision too: alpha makes much of small distances.
        x = VLAD(
            config.clusters, config.vlad_alpha, dtype="float32", name=f"{stream}_vlad"
        )(x)  # (batch, clusters * channels)
        heads[stream] = classified(config, classes, x, stream)
    return keras.Model(inputs, scored(config, heads), name=config.network)


def take_towers(network: keras.Model, towers: Mapping[str, keras.Model]) -> None:
    """Copy trained towers; their classifiers read other features and stay behind.

    Args:
        network: From `build`.
        towers: The trained `spatial` network as `rgb`, `temporal` as `flow`, or one.

    Raises:
        UserError: Layers of one name have other shapes.
    """
    for stream, source in towers.items():
        name = f"{stream}_features"
        copy_by_name(source.get_layer(name).layer, network.get_layer(name).layer)


def set_centres(
    network: keras.Model, batches: Iterable[Mapping[str, Any]], seed: int
) -> None:
    """Set each stream's centres to those of k-means among its local features.

    The features are those that VLAD is shown, of length 1; they are drawn evenly
    from the positions of every batch, until there are enough.

    Args:
        network: From `build`, its towers trained.
        batches: Inputs of training videos; read until there are enough.
        seed: Of what is drawn, and of k-means.

    Raises:
        UserError: scikit-learn is not installed, or there are fewer features than
            clusters.
    """
    require_sklearn(CENTRES)
    from sklearn.cluster import MiniBatchKMeans

    layers = {layer.name: layer for layer in network.layers if isinstance(layer, VLAD)}
    local = keras.Model(network.input, {n: v.input for n, v in layers.items()})
    draws = np.random.default_rng(seed)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    for inputs in batches:
        for name, maps in local.predict_on_batch(dict(inputs)).items():
            features = maps.reshape(-1, maps.shape[-1]).astype("float32")
            count = min(PER_BATCH, len(features))
            samples[name].append(draws.choice(features, count, replace=False))
        if all(sum(map(len, drawn)) >= SAMPLES for drawn in samples.values()):
            break
    for name, layer in layers.items():
        found = np.concatenate(samples[name] or [np.zeros((0, 1))])[:SAMPLES]
        if len(found) < layer.clusters:
            raise UserError(
                f"expected more local features than the {layer.clusters} clusters of "
                f"{name}. Received: {len(found)}. Set --clusters, or train on more "
                "videos"
            )
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        layer.set_centres(
            MiniBatchKMeans(
                n_clusters=layer.clusters, random_state=seed, batch_size=4096, n_init=3
            )
            .fit(found / np.maximum(lengths, 1e-6))
            .cluster_centers_
        )


initialise = set_centres  # what `models.initialise` calls


def check(config: ModelConfig) -> None:
    """Check that k-means is there, before towers are trained for it.

    Raises:
        UserError: scikit-learn is not installed.
    """
    require_sklearn(CENTRES)
