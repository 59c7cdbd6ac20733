"""The order of an epoch's videos, and which part of its batches a reader makes.

    data = shuffled(data, buffer=512, seed=0, epoch=3)
    data = own_part(data, batch=32, batches=40, start=7, share=Share(0, 2))

Several machines read the same shards in the same order; of every batch each decodes
its own part. A resumed run goes on in mid-epoch: what it had is skipped undecoded.
"""

from dataclasses import dataclass

import tensorflow as tf

from stfn_keras.errors import UserError


@dataclass(frozen=True)
class Share:
    """Which part of the data a reader makes.

    Attributes:
        index: The reader's number, from 0.
        count: How many readers there are.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"A share's index must be 0 to {self.count - 1}. Received: {self.index}"
            )

    def check_divides(self, batch: int) -> None:
        """Refuse batches that the readers cannot part evenly.

        Raises:
            UserError: The number of readers does not divide the batch.
        """
        if batch % self.count:
            raise UserError(
                f"a batch must be a multiple of the {self.count} readers that share "
                f"it. Received: {batch}. Give a multiple, or other workers or devices"
            )

    def of_batch(self, batch: int) -> tuple[int, int]:
        """The first position of a batch that this reader makes, and the one after.

        Raises:
            UserError: There are fewer videos than readers.
        """
        if batch < self.count:
            raise UserError(
                f"{self.count} readers need at least as many videos. Received: "
                f"{batch}. Prepare more videos or start fewer workers"
            )
        low, high = (k * batch // self.count for k in (self.index, self.index + 1))
        return low, high

    def videos_of_batch(self, batch: int) -> int:
        """How many videos of a batch this reader makes; see `of_batch`."""
        low, high = self.of_batch(batch)
        return high - low

    def of_videos(self, videos: int) -> int:
        """How many of the videos are this reader's, who takes every `count`-th one."""
        return len(range(self.index, videos, self.count))


WHOLE = Share()


def shuffled(
    data: tf.data.Dataset, buffer: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """Shuffle in an order that is a function of (seed, epoch) alone.

    `Dataset.shuffle` mixes TensorFlow's global seed in: readers that were seeded
    differently would make parts of different batches.

    Args:
        data: What is shuffled.
        buffer: Elements that are held to choose from, at least 1.
        seed: Seed of the run, from 0.
        epoch: Number of the epoch, from 0.
    """
    flat = tf.nest.flatten(data.element_spec)

    def permuted(data: tf.data.Dataset) -> tf.data.Dataset:
        variant = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(data),
            buffer_size=buffer,
            seed=seed,
            seed2=epoch + 1,  # two zeros would mean: at random
            output_types=[spec.dtype for spec in flat],
            output_shapes=[spec.shape for spec in flat],
            reshuffle_each_iteration=False,
        )
        return tf.data.experimental.from_variant(variant, data.element_spec)

    return data.apply(permuted)  # which keeps `data`, and Python functions in it, alive


def check_start(start: int, batches: int) -> None:
    """Raise ValueError where more batches are skipped than an epoch has."""
    if not 0 <= start <= batches:
        raise ValueError(f"start must be 0 to {batches} batches. Received: {start}")


def own_part(
    data: tf.data.Dataset, *, batch: int, batches: int, start: int, share: Share
) -> tf.data.Dataset:
    """The videos of an epoch that a reader decodes, in batches still to be made.

    Args:
        data: The epoch's videos in their order.
        batch: Videos in a batch of all readers.
        batches: Batches in the whole epoch; videos behind the last one are dropped.
        start: Batches that are skipped.
        share: The reader's; several parts of one batch follow one another.

    Returns:
        The videos at the share's positions of each batch.

    Raises:
        ValueError: There are fewer batches than are skipped.
        UserError: There are fewer videos in a batch than readers.
    """
    check_start(start, batches)
    low, high = share.of_batch(batch)

    def is_own(position: tf.Tensor, _: object) -> tf.Tensor:
        place = position % batch
        left = position < (batches - start) * batch
        return left & (place >= low) & (place < high)

    # Read to the end, past the last batch: there the number of records is checked.
    numbered = data.skip(start * batch).enumerate()
    return numbered.filter(is_own).map(lambda _, video: video)
