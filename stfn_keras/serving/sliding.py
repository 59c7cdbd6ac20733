"""The last T segments of a stream, scored anew with each segment that comes.

    network = SlidingNetwork(Path("models/stfn"))
    for snippet in snippets:  # uint8 RGB frames, `network.reach` of them, in a row
        network.update(snippet).top(3)

Only the new segment passes through the towers (`features`); the fusion then sees it
together with the features of the T - 1 before (`fuse`). The scores are those of the
whole network for the same T segments.
"""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.serving.folder import check_digests, newest_version, read_config
from stfn_keras.serving.preparer import Preparer, unusable
from stfn_keras.serving.ranking import best_classes
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime
from stfn_keras.video.centre import centre_views
from stfn_keras.video.container import VideoError

Views = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Scored:
    """Scores of the last T segments.

    Attributes:
        labels: str (C,).
        scores: float32 (C,), softmax.
    """

    labels: tuple[str, ...]
    scores: np.ndarray

    def top(self, count: int) -> list[tuple[str, float]]:
        """The best classes and their scores, best first."""
        return best_classes(self.labels, self.scores, count)


class SlidingNetwork:
    """An exported model that remembers the features of the last T segments.

    Until T segments have come, the first stands for those before it, as the snippets
    of a short video repeat.

    Args:
        model: `models/NAME`, whose newest version is taken, or one version.
        threads: CPU threads of the network; None is TensorFlow's own choice.

    Attributes:
        segments: T.
        reach: Frames in a row that a segment takes.

    Raises:
        UserError: There is no model of ours, it is damaged, it has no signatures for
            streams, or its flow cannot be computed here.
    """

    def __init__(self, model: Path, threads: int | None = None) -> None:
        folder = newest_version(model)
        config = read_config(folder)
        check_digests(folder, config, "saved_model")
        self.preparer = Preparer(config)
        self.preparer.check_computable(f"the stream for {folder}")
        self.runtime = SavedModelRuntime(folder / "saved_model.pb", threads=threads)
        signatures = self.runtime.signatures
        if not {"features", "fuse"} <= set(signatures):
            raise UserError(
                "expected a model with the signatures features and fuse, as networks "
                f"above pooled features of single segments have. {folder} has "
                f"{', '.join(signatures)}: export it again, of such a network"
            )
        self._features, self._fuse = signatures["features"], signatures["fuse"]
        self._sizes = {s: shape[1] for s, shape in self.runtime.inputs.items()}
        self.segments = self.runtime.segments
        self.reach = self.preparer.reach
        self._memory: deque[dict[str, np.ndarray]] = deque(maxlen=self.segments)

    def update(self, snippet: Sequence[np.ndarray]) -> Scored:
        """Take a new segment in and score the last T.

        Args:
            snippet: `reach` frames in a row, uint8 RGB (height, width, 3).

        Raises:
            UserError: The frames are too small for flow.
        """
        self.add(self.view(snippet))
        return self.scored()

    def view(self, snippet: Sequence[np.ndarray]) -> Views:
        """A segment's centre view: uint8 (1, size, size, channels) by stream."""
        try:
            encoded = self.preparer.encoded(self.preparer.prepare_snippet(snippet))
        except VideoError as error:
            raise unusable(Path("the stream"), error) from error
        batch = {name: tf.constant([value]) for name, value in encoded.items()}
        views = centre_views(batch, self._sizes, self.preparer.extent)
        return {stream: view[:, 0].numpy() for stream, view in views.items()}

    def add(self, view: Views) -> None:
        """Remember the features of a segment's view, and forget the oldest's."""
        given = {stream: tf.constant(view[stream]) for stream in self._sizes}
        found = self._features(**given)
        self._memory.append({name: value.numpy() for name, value in found.items()})

    def scored(self) -> Scored:
        """Score the segments remembered, of which there must be one."""
        missing = self.segments - len(self._memory)
        rows = [*itertools.repeat(self._memory[0], missing), *self._memory]
        given = {
            name: tf.constant(np.stack([row[name] for row in rows], axis=1))
            for name in rows[0]  # each (1, T, features)
        }
        scores = self._fuse(**given)["scores"].numpy()[0]
        return Scored(self.preparer.labels, scores)

    def warm_up(self) -> None:
        """Do an update once: TensorFlow's first takes seconds."""
        self.update([np.zeros((240, 320, 3), np.uint8)] * self.reach)
        self.forget()

    def forget(self) -> None:
        """Begin a new stream."""
        self._memory.clear()
