"""Batches divided among devices, and filled so that the devices get equally many.

data = padded_batches(data, parts=2, batches=5)   # adds `shown`: which videos count
data = divided(data, parts=2)                     # each batch as two, in order
"""

import tensorflow as tf


def divided(data: tf.data.Dataset, parts: int) -> tf.data.Dataset:
    """Every batch as so many equal ones, one after another.

    Args:
        data: A known number of batches of videos that `parts` divides.
        parts: Devices that share a batch.
    """
    if parts == 1:
        return data

    def cut(*batch: tf.Tensor) -> tf.data.Dataset:
        def folded(values: tf.Tensor) -> tf.Tensor:
            videos = values.shape[0]
            each = videos // parts if videos else tf.shape(values)[0] // parts
            # (videos, ...) -> (parts, videos of a part, ...)
            return tf.reshape(values, [parts, each, *values.shape[1:]])

        return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(folded, batch))

    count = int(data.cardinality()) * parts
    data = data.flat_map(cut).apply(tf.data.experimental.assert_cardinality(count))
    return data.prefetch(parts)


def padded_batches(data: tf.data.Dataset, parts: int, batches: int) -> tf.data.Dataset:
    """Fill batches to a multiple of `parts` videos, and their number to `batches`.

    Args:
        data: At most so many batches (inputs, labels).
        parts: Devices that share a batch.
        batches: What the worker with the most has.

    Returns:
        Batches (inputs, labels, shown): 1 for a video, 0 for one that only fills.
    """

    def filled(inputs: dict, labels: dict) -> tuple[dict, dict, tf.Tensor]:
        videos = tf.shape(next(iter(labels.values())))[0]
        more = -videos % parts

        def padded(values: tf.Tensor) -> tf.Tensor:
            return tf.pad(values, [[0, more]] + [[0, 0]] * (values.shape.rank - 1))

        shown = padded(tf.ones([videos]))
        inputs, labels = tf.nest.map_structure(padded, (inputs, labels))
        return inputs, labels, shown

    data = data.map(filled)
    missing = batches - int(data.cardinality())
    if missing:
        blank = tf.nest.map_structure(
            lambda spec: tf.zeros([parts, *spec.shape[1:]], spec.dtype),
            data.element_spec,
        )
        data = data.concatenate(tf.data.Dataset.from_tensors(blank).repeat(missing))
    return data.apply(tf.data.experimental.assert_cardinality(batches))
