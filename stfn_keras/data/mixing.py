"""Mixup of batches: every video blended with another one of its batch.

    data = mixed_batches(data, alpha=0.2, seed=0, epoch=3)
    inputs, labels = mixed(inputs, labels, alpha=0.2, seed=tf.constant([0, 3]))

One share and one partner per video serve all its segments and both streams (T: Zhang
et al. 2018; a share per video instead of one per batch is C). Pixels and flow codes
stay uint8: a blend of codes is the code of the blended motion. Features are blended
likewise.
"""

import tensorflow as tf

from stfn_keras.data.share import WHOLE, Share

Tensors = dict[str, tf.Tensor]


def draw_shares(count: tf.Tensor | int, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Draw shares from Beta(alpha, alpha).

    Args:
        count: How many.
        alpha: Above 0; 1 is uniform, small values give shares near 0 or 1.
        seed: int (2,).

    Returns:
        float32 (count,), 0 to 1.
    """
    draws = tf.random.stateless_uniform(
        [2, count], seed, minval=1e-30, maxval=1.0, dtype=tf.float64
    )
    after = tf.random.experimental.stateless_fold_in(seed, 1)
    larger = tf.random.stateless_gamma(
        [2, count], after, alpha=alpha + 1.0, dtype=tf.float64
    )
    # Gamma(a) = Gamma(a + 1) U^(1/a), in logarithms: small alphas underflow otherwise.
    logs = tf.math.log(larger) + tf.math.log(draws) / alpha
    return tf.cast(tf.sigmoid(logs[0] - logs[1]), tf.float32)


def _blended(values: tf.Tensor, partners: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Blend along the first axis, a video at a time: a batch of floats is large."""

    def blend(about: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        index, partner, share = about
        here, there = (tf.cast(values[k], tf.float32) for k in (index, partner))
        both = share * here + (1.0 - share) * there
        return tf.cast(
            tf.round(both) if values.dtype == tf.uint8 else both, values.dtype
        )

    return tf.map_fn(
        blend,
        (tf.range(tf.shape(values)[0]), partners, shares),
        fn_output_signature=tf.TensorSpec(values.shape[1:], values.dtype),
    )


def mixed(
    inputs: Tensors,
    labels: Tensors,
    alpha: float,
    seed: tf.Tensor,
    weights: Tensors | None = None,
) -> tuple[Tensors, ...]:
    """Blend every video of a batch with another one of it.

    Args:
        inputs: Pixels uint8 (batch, T, H, W, C) or features float (batch, T, C).
        labels: One-hot float (batch, classes), by output.
        alpha: Of the Beta distribution of the shares; 0 leaves all as it is.
        seed: int (2,); the same seed draws the same shares and partners.
        weights: Sample weights float (batch,), by output, blended alike.

    Returns:
        (inputs, labels) or, with weights, (inputs, labels, weights), as given.

    Raises:
        ValueError: Labels are class numbers, which cannot be blended.
    """
    batch = (inputs, labels) if weights is None else (inputs, labels, weights)
    if not alpha:
        return batch
    for name, label in labels.items():
        if not label.dtype.is_floating:
            raise ValueError(
                f"mixup needs one-hot float labels. Received: {label.dtype.name} "
                f"for {name!r}"
            )
    count = tf.shape(next(iter(labels.values())))[0]
    first = tf.random.experimental.stateless_fold_in(seed, 1)
    second = tf.random.experimental.stateless_fold_in(seed, 2)
    shares = draw_shares(count, alpha, first)
    partners = tf.argsort(tf.random.stateless_uniform([count], second))
    return tuple(
        {key: _blended(value, partners, shares) for key, value in part.items()}
        for part in batch
    )


def mixed_batches(
    data: tf.data.Dataset,
    alpha: float,
    seed: int,
    epoch: int,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Blend the batches of an epoch; with `alpha` 0 the dataset as it is.

    Args:
        data: Batches of (inputs, labels) or (inputs, labels, weights), see `mixed`.
        alpha: See `mixed`.
        seed: Seed of the run.
        epoch: Number of the epoch; with `seed` it fixes every draw.
        start: Number of the first of these batches.
        share: The part of each batch that these are: videos are blended within it, so
            that mixup, unlike all else, depends on how many readers there are.
    """
    if not alpha:
        return data
    # Below 0, where no video's number is: batches and videos never share draws.
    seeds = tf.random.experimental.stateless_fold_in(
        tf.constant([seed, epoch], tf.int64), -1
    )

    def blend(number: tf.Tensor, batch: tuple) -> tuple:
        part = number * share.count + share.index
        state = tf.random.experimental.stateless_fold_in(seeds, part)
        inputs, labels, *weights = batch
        return mixed(inputs, labels, alpha, state, *weights)

    numbered = data.enumerate(start)
    return numbered.map(blend, num_parallel_calls=tf.data.AUTOTUNE)
