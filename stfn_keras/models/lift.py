"""What an option puts into a tower, besides the layers that its weight files hold."""

from collections.abc import Iterable

import keras


class Lift(keras.layers.Layer):
    """A layer that a plain tower lacks.

    Weight files of towers and fractions of towers to freeze are without such layers.

    Attributes:
        mixes_segments: Whether it reads whole videos: so many consecutive images of
            its batch are one.
    """

    mixes_segments = False


def without_lifts(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Return the layers that a plain tower has too."""
    return [layer for layer in layers if not isinstance(layer, Lift)]


def mixes_segments(tower: keras.Model) -> bool:
    """Whether a tower's features of an image depend on its neighbours in the batch."""
    lifts = (layer for layer in tower.layers if isinstance(layer, Lift))
    return any(lift.mixes_segments for lift in lifts)
