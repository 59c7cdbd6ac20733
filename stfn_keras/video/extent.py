"""How much of a video a snippet takes: frames in a row, and the flow between them.

    extent = Extent.of(ModelConfig(frames=64, pairs=64))
    extent.reach  # 65
    extent.starts([14, 18], video=34, config=config)  # where such snippets begin
    extent.snippet(0, video=34).frames  # 0 to 33, then 0 to 29: it starts over

Stored positions were spread for the reach that the data were prepared with. A network
may reach further in data of the dense layout, whose frames are all there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stfn_keras.config import ModelConfig, PreparationConfig


@dataclass(frozen=True)
class Snippet:
    """Which frames and flow pairs a snippet takes.

    Attributes:
        frames: Indices of its RGB frames, the smallest first.
        pairs: Of its flow pairs, likewise; pair i leads from frame i to the next.
    """

    frames: tuple[int, ...]
    pairs: tuple[int, ...]

    @property
    def last(self) -> int:
        """The last frame that is needed."""
        return max([*self.frames, *(pair + 1 for pair in self.pairs)])


@dataclass(frozen=True)
class Extent:
    """What is taken of each snippet.

    Attributes:
        frames: RGB frames in a row.
        pairs: Flow pairs; 0 for none.
    """

    frames: int = 1
    pairs: int = 0

    @classmethod
    def of(cls, model: ModelConfig) -> "Extent":
        """What a network reads."""
        return cls(
            model.frames if "rgb" in model.inputs else 1,
            model.pairs if "flow" in model.inputs else 0,
        )

    @classmethod
    def stored(cls, config: PreparationConfig) -> "Extent":
        """What data hold of a snippet, and were spread for."""
        return cls(config.rgb_per_snippet, config.pairs)

    @property
    def reach(self) -> int:
        """Frames in a row that a snippet takes."""
        return max(self.frames, self.pairs + 1)

    def starts(
        self, positions: Sequence[int], video: int, config: PreparationConfig
    ) -> list[int]:
        """The first frames of snippets whose stored positions these are.

        Args:
            positions: As spread for the stored reach.
            video: Frames of the video.
            config: How it was, or would be, stored.
        """
        stored = Extent.stored(config).reach
        if self.reach <= stored:
            return list(positions)
        places = max(video - self.reach, 0) + 1
        return [respread(start, places, video - stored + 1) for start in positions]

    def snippet(self, start: int, video: int, first: int = 0) -> Snippet:
        """The frames and pairs of a snippet; a short video starts over (T: I3D).

        Args:
            start: Its first frame, counted from the video's.
            video: Frames of the video.
            first: The video's first frame, where it is a part of another.
        """
        return Snippet(
            tuple(first + (start + n) % video for n in range(self.frames)),
            tuple(first + (start + n) % (video - 1) for n in range(self.pairs)),
        )


def respread(start: Any, places: Any, stored_places: Any) -> Any:
    """Where a snippet starts that has another number of places.

    The middle of a place among the stored ones stays the same part of all: floor((p +
    0.5) places / stored_places). So the first and the last start where they may.

    Args:
        start: Among the stored places, from 0: a whole number, or an array or tensor.
        places: Where a snippet may start, 1 or more.
        stored_places: Likewise, when the positions were spread.
    """
    return (2 * start + 1) * places // (2 * stored_places)
